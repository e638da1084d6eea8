export type { QueueName } from '../../pg-boss/queue-inputs.js';

/** Options of SessionTesting.drain(). */
export interface DrainOptions {
  /**
   * Whether drain() also runs jobs that start later: a retry after its `retryDelay`, a job with `startAfter`.
   *
   * @default false
   */
  readonly ignoreStartAfter?: boolean;
  /**
   * The largest number of attempts at jobs. It stops a handler that sends a new job for each job that it runs.
   *
   * @default 1_000
   */
  readonly limit?: number;
}

interface Attempted {
  /** The name of the queue. */
  readonly queue: string;
  /** The id of the job. */
  readonly id: string;
  /** Counts from 1. */
  readonly attempt: number;
  /** The input of the handler. Undefined for data that JobQueue did not write. */
  readonly input: unknown;
}

/** One attempt at a durable job: its value, or the reason of its failure and what happens to the job then. */
export type DrainedAttempt = Attempted &
  (
    | { readonly status: 'fulfilled'; readonly value: unknown }
    | {
        readonly status: 'rejected';
        readonly reason: unknown;
        /** Whether the job is tried again, or has a copy in the dead letter queue. */
        readonly next: 'retry' | 'deadLetter' | 'none';
      }
  );

/** A durable job that drain() has not run, because it starts later or waits for another job. */
export interface LeftJob extends Attempted {
  /** When the job may start. */
  readonly startAfter: Date;
}

/** The result of SessionTesting.drain(). */
export interface Drained {
  /** All attempts in the order of their ends. A retried job is listed once per attempt. */
  readonly attempts: readonly DrainedAttempt[];
  /** The jobs that were not run. */
  readonly left: readonly LeftJob[];
}
