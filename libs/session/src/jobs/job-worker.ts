import type { EntityManager } from '@mikro-orm/core';
import type { Type } from '@nestjs/common';

/** What a worker is told of its job. */
export interface JobContext {
  /** The place of the input in the inputs, from 0. That of the first one of a chunk for `handleMany`. */
  readonly index: number;
  /** Counts the attempts at this job, from 1. */
  readonly attempt: number;
  /** Aborts when the job is cancelled, has taken too long, or should hurry because the application shuts down. */
  readonly signal: AbortSignal;
}

/** Does the work on one input. The session is the job's own, or that of its chunk. */
export type JobFunction<Em extends EntityManager, Input, Result> = (
  session: Em,
  input: Input,
  job: JobContext,
) => Result | Promise<Result>;

/** A worker that NestJS makes per job, so that its whole tree of providers gets the job's session. */
export interface JobWorker<Input, Result> {
  handle(input: Input, job: JobContext): Result | Promise<Result>;
}

/**
 * A worker that takes the inputs of a chunk at once, and gives their results in the same order. When it throws, its
 * chunk is rolled back, and it is called again with parts of it: it cannot know how many inputs it gets.
 */
export interface JobChunkWorker<Input, Result> {
  handleMany(inputs: readonly Input[], job: JobContext): readonly Result[] | Promise<readonly Result[]>;
}

/** What works on one input, or on the inputs of a chunk. */
export type AnyWorker<Em extends EntityManager, Input, Result> =
  | JobFunction<Em, Input, Result>
  | Type<JobWorker<Input, Result>>
  | Type<JobChunkWorker<Input, Result>>;

/** @deprecated Use AnyWorker: bullmq, pg-boss and node:worker_threads have a Worker. */
export type Worker<Em extends EntityManager, Input, Result> = AnyWorker<Em, Input, Result>;
