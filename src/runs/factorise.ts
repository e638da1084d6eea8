const SMALL_PRIMES = [2, 3, 5] as const;

/** The gaps between the numbers that are not divisible by 2, 3 or 5, from 7 on. */
const WHEEL = [4, 2, 4, 2, 4, 6, 2, 6] as const;

/** Returns the prime factors of an integer of 1 or more, the smallest first. 1 has none. */
export function factorise(number: number): number[] {
  const factors: number[] = [];
  let rest = number;
  const divideBy = (divisor: number): void => {
    while (rest % divisor === 0) {
      factors.push(divisor);
      rest /= divisor;
    }
  };

  SMALL_PRIMES.forEach(divideBy);
  let divisor = 7;
  for (let spoke = 0; divisor * divisor <= rest; spoke += 1) {
    divideBy(divisor);
    divisor += WHEEL[spoke % WHEEL.length] ?? 0;
  }
  if (rest > 1) {
    factors.push(rest);
  }
  return factors;
}
