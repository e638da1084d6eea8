import { availableParallelism } from 'node:os';

import type { JobStreamOptions } from 'nestjs-mikro-session';

import type { NumberList } from './number-list.js';

/**
 * The largest small number. For larger numbers, the factorisation may take two milliseconds and more, up to half a
 * second.
 */
const LARGEST_SMALL = 100_000_000_000;

/** Leaves one processor to the requests. Each thread takes about fifty megabytes. */
const THREADS = Math.min(4, Math.max(1, availableParallelism() - 1));

/** While one job of a thread computes, another one talks to the database. More would only wait. */
const JOBS_PER_THREAD = 2;

/** A number of a run, with its position in the list. */
export interface NumberAt {
  readonly index: number;
  readonly number: number;
}

/** Numbers of a run that are factorised in the same way. */
export interface NumberPart {
  readonly numbers: Iterable<NumberAt>;
  readonly options: Pick<JobStreamOptions, 'concurrency' | 'threads' | 'total'>;
}

/**
 * Splits the numbers: the small ones run in this thread, which is fastest. The large ones run in worker threads,
 * because they would block this thread.
 */
export function partNumbers(numbers: NumberList, concurrency: number): NumberPart[] {
  let large = 0;
  for (const number of numbers) {
    large += isLarge(number) ? 1 : 0;
  }
  const parts: NumberPart[] = [];
  if (large < numbers.length) {
    parts.push({
      numbers: findNumbers(numbers, (number) => !isLarge(number)),
      options: { concurrency, total: numbers.length - large },
    });
  }
  if (large > 0) {
    const options = { concurrency: Math.min(concurrency, THREADS * JOBS_PER_THREAD), threads: THREADS, total: large };
    parts.push({ numbers: findNumbers(numbers, isLarge), options });
  }
  return parts;
}

function* findNumbers(numbers: NumberList, isMeant: (number: number) => boolean): Generator<NumberAt, void, undefined> {
  for (let index = 0; index < numbers.length; index += 1) {
    const number = numbers.at(index);
    if (isMeant(number)) {
      yield { index, number };
    }
  }
}

function isLarge(number: number): boolean {
  return number > LARGEST_SMALL;
}
