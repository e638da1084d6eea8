import { OverloadedException } from '../errors/overloaded.exception.js';

/** The largest number of unfinished runs of each engine. */
const MAX_RUNS = 200;

/** The largest number of numbers in all unfinished runs. Each failed job takes memory until its failure is stored. */
const MAX_RUN_NUMBERS = 1_000_000;

const RETRY_AFTER_S = 10;

/** The load of runs on a server. */
export interface RunLoad {
  readonly runs: number;
  readonly numbers: number;
}

export const NO_LOAD: RunLoad = { runs: 0, numbers: 0 };

/** @throws {OverloadedException} when there is no room for another run with that many numbers */
export function assertRoomFor(count: number, { runs, numbers }: RunLoad): void {
  if (runs >= MAX_RUNS) {
    throw new OverloadedException(
      `There are ${runs} unfinished runs, and no more are allowed. Try again later.`,
      RETRY_AFTER_S,
    );
  }
  if (numbers + count > MAX_RUN_NUMBERS) {
    throw new OverloadedException(
      `The unfinished runs have ${numbers} numbers, and at most ${MAX_RUN_NUMBERS} are allowed: there is no room for ` +
        `${count} more. Try again later.`,
      RETRY_AFTER_S,
    );
  }
}
