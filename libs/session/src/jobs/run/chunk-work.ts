import type { EntityManager } from '@mikro-orm/core';

import { describeType } from '../../session/describe-type.js';
import type { Chunk } from './input-source.js';
import type { JobContext, JobFunction } from '../job-worker.js';

/** One attempt at the inputs of a chunk. */
export interface Attempt {
  /** Returns the JobContext of one input of the chunk. */
  contextOf(offset: number): JobContext;
  /** The input of the chunk that is being worked on. Undefined where the worker gets all inputs at once. */
  culprit: number | undefined;
  /** Starts the time of one input. */
  begin(culprit: number): void;
  /** Starts the time of several inputs together. */
  beginAll(count: number): void;
}

/** Works on all inputs of a chunk, in one session. */
export type ChunkWork<Em extends EntityManager, Input, Result> = (
  session: Em,
  chunk: Chunk<Input>,
  attempt: Attempt,
) => Promise<readonly Result[]>;

/** Calls a worker for each input of a chunk in turn. */
export function oneByOne<Em extends EntityManager, Input, Result>(
  work: JobFunction<Em, Input, Result>,
): ChunkWork<Em, Input, Result> {
  return async (session, { inputs }, attempt) => {
    const values: Result[] = [];
    for (const input of inputs) {
      const culprit = values.length;
      attempt.begin(culprit);
      values.push(await work(session, input, attempt.contextOf(culprit)));
    }
    // The flush and the commit belong to all inputs.
    attempt.beginAll(inputs.length);
    return values;
  };
}

/** Calls a worker once for all inputs of a chunk. */
export function allAtOnce<Em extends EntityManager, Input, Result>(
  work: (inputs: readonly Input[], job: JobContext) => readonly Result[] | Promise<readonly Result[]>,
  name: string,
): ChunkWork<Em, Input, Result> {
  return async (_session, { inputs }, attempt) => {
    const values: unknown = await work(inputs, attempt.contextOf(0));
    if (!Array.isArray(values) || values.length !== inputs.length) {
      const got = Array.isArray(values) ? `${values.length}` : describeType(values);
      throw new TypeError(
        `Expected \`handleMany()\` of the worker "${name}" to return ${inputs.length} results in the order of its ` +
          `inputs, got ${got}.`,
      );
    }
    return values as readonly Result[];
  };
}
