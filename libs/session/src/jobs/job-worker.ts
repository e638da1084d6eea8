import type { EntityManager } from '@mikro-orm/core';
import type { Type } from '@nestjs/common';

/** Describes a job to its worker. */
export interface JobContext {
  /** The position of the input in the inputs, from 0. For `handleMany`, that of the first input of the chunk. */
  readonly index: number;
  /** Counts the attempts at this job, from 1. */
  readonly attempt: number;
  /**
   * Aborts when the job is cancelled, when its time is up, and when the application shuts down and waits for the job.
   */
  readonly signal: AbortSignal;
}

/** A worker that is a function: works on one input. The session belongs to the job, or to its chunk. */
export type JobFunction<Em extends EntityManager, Input, Result> = (
  session: Em,
  input: Input,
  job: JobContext,
) => Result | Promise<Result>;

/**
 * A worker that is a class: works on one input. With request-scoped injection, NestJS creates it for each job, with all
 * its request-scoped providers, which get the session of the job.
 */
export interface JobWorker<Input, Result> {
  /** Works on one input. */
  handle(input: Input, job: JobContext): Result | Promise<Result>;
}

/**
 * A worker that is a class: works on all inputs of a chunk at once, and returns their results in the same order. When
 * it throws, the chunk is rolled back, and the worker is called again with parts of it. So it may get any number of
 * inputs.
 */
export interface JobChunkWorker<Input, Result> {
  /** Works on all inputs of a chunk, and returns one result per input. */
  handleMany(inputs: readonly Input[], job: JobContext): readonly Result[] | Promise<readonly Result[]>;
}

/** A worker of any form: a function, or a class with `handle` or `handleMany`. */
export type AnyWorker<Em extends EntityManager, Input, Result> =
  | JobFunction<Em, Input, Result>
  | Type<JobWorker<Input, Result>>
  | Type<JobChunkWorker<Input, Result>>;

/** @deprecated Use AnyWorker: bullmq, pg-boss and node:worker_threads have a Worker. */
export type Worker<Em extends EntityManager, Input, Result> = AnyWorker<Em, Input, Result>;
