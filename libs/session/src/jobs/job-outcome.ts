/**
 * Why a job was rejected. `failed`: the worker or the commit threw. `timeout`: the job took longer than its `timeout`.
 * `aborted`: the `signal` cancelled the job, or the job never began.
 */
export type JobEnding = 'failed' | 'timeout' | 'aborted';

/** The outcome of one input. */
export type JobOutcome<Input, Result> =
  | {
      readonly status: 'fulfilled';
      readonly index: number;
      readonly input: Input;
      readonly value: Result;
      readonly attempts: number;
    }
  | {
      readonly status: 'rejected';
      readonly index: number;
      readonly input: Input;
      readonly reason: unknown;
      readonly ending: JobEnding;
      /** 0 when the job never began. */
      readonly attempts: number;
    };
