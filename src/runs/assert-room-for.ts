import { OverloadedException } from '../errors/overloaded.exception.js';

/** How many runs may wait or run at once, of each engine. */
const MAX_RUNS = 200;

/** How many numbers they may have together. What is known of each job that failed takes memory until it is stored. */
const MAX_RUN_NUMBERS = 1_000_000;

const RETRY_AFTER_S = 10;

/** What runs take of what a server has. */
export interface RunLoad {
  readonly runs: number;
  readonly numbers: number;
}

export const NO_LOAD: RunLoad = { runs: 0, numbers: 0 };

/** @throws {OverloadedException} when there is no room for another run of so many numbers */
export function assertRoomFor(count: number, { runs, numbers }: RunLoad): void {
  if (runs >= MAX_RUNS) {
    throw new OverloadedException(
      `There are ${runs} runs that have not ended, and may be no more. Try again later.`,
      RETRY_AFTER_S,
    );
  }
  if (numbers + count > MAX_RUN_NUMBERS) {
    throw new OverloadedException(
      `The runs that have not ended have ${numbers} numbers, and may have ${MAX_RUN_NUMBERS}: there is no room for ` +
        `${count} more. Try again later.`,
      RETRY_AFTER_S,
    );
  }
}
