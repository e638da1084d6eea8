/** Numbers in their order. A range takes no memory for its numbers, a list takes eight bytes for each. */
export class NumberList {
  readonly #at: (index: number) => number;

  private constructor(
    readonly length: number,
    /** The number of numbers that are held in memory. */
    readonly held: number,
    at: (index: number) => number,
  ) {
    this.#at = at;
  }

  static range(from: number, to: number): NumberList {
    return new NumberList(to - from + 1, 0, (index) => from + index);
  }

  static of(numbers: readonly number[]): NumberList {
    const list = Float64Array.from(numbers);
    return new NumberList(list.length, list.length, (index) => list[index] ?? Number.NaN);
  }

  at(index: number): number {
    return this.#at(index);
  }

  *[Symbol.iterator](): Generator<number, void, undefined> {
    for (let index = 0; index < this.length; index += 1) {
      yield this.#at(index);
    }
  }
}
