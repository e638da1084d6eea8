import { availableParallelism } from 'node:os';

import type { JobOptions } from 'nestjs-mikro-session';

/** Above it the factors of a number may take two milliseconds and more to find, up to half a second for the largest. */
const LARGEST_SMALL = 100_000_000_000;

/** Leaves a processor to the requests. Each thread takes some fifty megabytes. */
const THREADS = Math.min(4, Math.max(1, availableParallelism() - 1));

/** While one job of a thread computes, another one talks to the database. More would only wait. */
const JOBS_PER_THREAD = 2;

/** A number of a run, with its place in the list. */
export interface NumberAt {
  readonly index: number;
  readonly number: number;
}

/** Numbers of a run that are factorised in the same way. */
export interface NumberPart {
  readonly numbers: readonly NumberAt[];
  readonly options: Pick<JobOptions, 'concurrency' | 'threads'>;
}

/** Parts the numbers: the small ones stay in this thread, where they are done soonest, the large ones must not block it. */
export function partNumbers(numbers: readonly number[], concurrency: number): NumberPart[] {
  const all = numbers.map((number, index) => ({ index, number }));
  const { small = [], large = [] } = Object.groupBy(all, ({ number }) => (number > LARGEST_SMALL ? 'large' : 'small'));
  const parts: NumberPart[] = [
    { numbers: small, options: { concurrency } },
    { numbers: large, options: { concurrency: Math.min(concurrency, THREADS * JOBS_PER_THREAD), threads: THREADS } },
  ];
  return parts.filter((part) => part.numbers.length > 0);
}
