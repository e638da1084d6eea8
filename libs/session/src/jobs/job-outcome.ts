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
      /** 0 when the job was cancelled before it began. */
      readonly attempts: number;
    };
