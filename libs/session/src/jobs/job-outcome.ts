/**
 * Why a job was rejected. `failed`: the worker or the commit threw. `timeout`: the job took longer than its `timeout`.
 * `aborted`: the `signal` cancelled the job, or the job never began.
 */
export type JobEnding = 'failed' | 'timeout' | 'aborted';

/** The outcome of one input. */
export type JobOutcome<Input, Result> =
  | {
      readonly status: 'fulfilled';
      /** The position of the input in the inputs, from 0. */
      readonly index: number;
      readonly input: Input;
      /** The result of the worker. Its transaction is committed. */
      readonly value: Result;
      /** The number of attempts at the job. */
      readonly attempts: number;
    }
  | {
      readonly status: 'rejected';
      /** The position of the input in the inputs, from 0. */
      readonly index: number;
      readonly input: Input;
      /** The error of the last attempt. */
      readonly reason: unknown;
      /** Why the job was rejected. */
      readonly ending: JobEnding;
      /** The number of attempts at the job. 0 when the job never began. */
      readonly attempts: number;
    };
