import type { EntityManager } from '@mikro-orm/core';
import type { Type } from '@nestjs/common';

/** What a worker is told of its job. */
export interface JobContext {
  /** The place of the input in the inputs, from 0. */
  readonly index: number;
  /** Counts the attempts at this job, from 1. */
  readonly attempt: number;
  /** Aborts when the job is cancelled. */
  readonly signal: AbortSignal;
}

/** Does the work on one input. The session is the job's own. */
export type JobFunction<Em extends EntityManager, Input, Result> = (
  session: Em,
  input: Input,
  job: JobContext,
) => Result | Promise<Result>;

/** A worker that NestJS makes per job, so that its whole tree of providers gets the job's session. */
export interface JobWorker<Input, Result> {
  handle(input: Input, job: JobContext): Result | Promise<Result>;
}

export type Worker<Em extends EntityManager, Input, Result> =
  | JobFunction<Em, Input, Result>
  | Type<JobWorker<Input, Result>>;
