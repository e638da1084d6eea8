import type { EntityManager } from '@mikro-orm/core';

import type { Piece } from './input-source.js';
import type { JobFunction } from './job-worker.js';

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
    return values;
  };
}
