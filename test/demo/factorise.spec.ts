import { factorise } from '../../src/runs/factorise.js';

describe('factorise', () => {
  it.each([
    [1, []],
    [2, [2]],
    [49, [7, 7]],
    [360, [2, 2, 2, 3, 3, 5]],
    [1_001, [7, 11, 13]],
    [999_966_000_289, [999_983, 999_983]],
    [999_999_999_989, [999_999_999_989]],
    [1_000_000_000_000, [...Array<number>(12).fill(2), ...Array<number>(12).fill(5)]],
    [9_007_195_909_437_503, [94_906_247, 94_906_249]],
    [9_007_199_254_740_991, [6_361, 69_431, 20_394_401]],
  ])('gives the prime factors of %d, the smallest first', (number, factors) => {
    expect(factorise(number)).toEqual(factors);
  });

  it('gives factors whose product is the number', () => {
    const numbers = Array.from({ length: 5_000 }, (_, index) => index + 1);

    expect(numbers.map((number) => factorise(number).reduce((product, factor) => product * factor, 1))).toEqual(
      numbers,
    );
  });
});
