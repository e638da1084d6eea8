export type { QueueName } from '../../pg-boss/queue-inputs.js';

export interface DrainOptions {
  /** Runs also what is to start later: a retry after its `retryDelay`, a job with `startAfter`. @default false */
  readonly ignoreStartAfter?: boolean;
  /** How many attempts at jobs are made. For a handler that sends a job for each that it runs, there is no end. @default 1_000 */
  readonly limit?: number;
}

interface Attempted {
  readonly queue: string;
  readonly id: string;
  /** Counts from 1. */
  readonly attempt: number;
  /** As the handler got it; undefined for data that JobQueue has not written. */
  readonly input: unknown;
}

/** One attempt at a durable job: its value, or what it was rejected with and what became of the job then. */
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

/** A durable job that a drain has not run: it starts later, or waits for another job. */
export interface LeftJob extends Attempted {
  readonly startAfter: Date;
}

/** What SessionTesting.drain() has done. */
export interface Drained {
  /** In the order that they ended: a job that was tried again stands there for each attempt. */
  readonly attempts: readonly DrainedAttempt[];
  readonly left: readonly LeftJob[];
}
