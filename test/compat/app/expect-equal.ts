import { isDeepStrictEqual, inspect } from 'node:util';

/** @throws {Error} where two values are not the same */
export function expectEqual(found: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(found, expected)) {
    throw new Error(`Expected ${inspect(expected)}, found ${inspect(found)}.`);
  }
}
