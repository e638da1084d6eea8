/**
 * How a job came to be rejected. `failed`: it threw, or its commit did. `timeout`: it took longer than its `timeout`.
 * `aborted`: the `signal` cancelled it, or it was not to begin any more.
 */
export type JobEnding = 'failed' | 'timeout' | 'aborted';

/** What became of one input. */
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
      /** 0 when the job was not to begin any more. */
      readonly attempts: number;
    };
