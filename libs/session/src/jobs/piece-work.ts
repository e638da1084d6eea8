import { inspect } from 'node:util';

import type { EntityManager } from '@mikro-orm/core';

import type { Piece } from './input-source.js';
import type { JobContext, JobFunction } from './job-worker.js';

/** One attempt at the inputs of a piece. */
export interface Attempt {
  /** Counts from 1. */
  readonly number: number;
  readonly signal: AbortSignal;
  /** Which input of the piece is being worked on, where they are worked on one by one. */
  culprit: number | undefined;
  /** Gives one input its time. */
  begin(culprit: number): void;
  /** Gives so many inputs their time, together. */
  beginAll(count: number): void;
}

/** Does the work on all inputs of a piece, in one session. */
export type PieceWork<Em extends EntityManager, Input, Result> = (
  session: Em,
  piece: Piece<Input>,
  attempt: Attempt,
) => Promise<readonly Result[]>;

/** Calls a worker for each input of a piece in turn. */
export function oneByOne<Em extends EntityManager, Input, Result>(
  work: JobFunction<Em, Input, Result>,
): PieceWork<Em, Input, Result> {
  return async (session, { index, inputs }, attempt) => {
    const { number, signal } = attempt;
    const values: Result[] = [];
    for (const input of inputs) {
      const culprit = values.length;
      attempt.begin(culprit);
      values.push(await work(session, input, { index: index + culprit, attempt: number, signal }));
    }
    // What is left, the flush and the commit, is for all of them.
    attempt.beginAll(inputs.length);
    return values;
  };
}

/** Calls a worker once for all inputs of a piece. */
export function allAtOnce<Em extends EntityManager, Input, Result>(
  work: (inputs: readonly Input[], job: JobContext) => readonly Result[] | Promise<readonly Result[]>,
  name: string,
): PieceWork<Em, Input, Result> {
  return async (_session, { index, inputs }, { number, signal }) => {
    const values: unknown = await work(inputs, { index, attempt: number, signal });
    if (!Array.isArray(values) || values.length !== inputs.length) {
      const got = Array.isArray(values) ? `${values.length}` : `\`${inspect(values, { depth: 0 })}\``;
      throw new TypeError(
        `Expected \`handleMany()\` of the worker "${name}" to return ${inputs.length} results in the order of its ` +
          `inputs, got ${got}.`,
      );
    }
    return values as readonly Result[];
  };
}
