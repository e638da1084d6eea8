import type { JobOutcome } from '../job-outcome.js';

/** What is known of a run when it begins. */
export interface RunStart {
  readonly label: string;
  /** How many inputs there are, where they tell it beforehand. */
  readonly total: number | undefined;
  /** How many chunks run at once. */
  readonly lanes: number;
}

/** Is told of one run. */
export interface RunFollower {
  ended(outcome: JobOutcome<unknown, unknown>): void;
  /** Called when every job of it has ended. */
  over(): void;
}

/** Knows who is told of the runs of an application, if anybody is. */
export class RunWatch {
  /** Called when a run begins. */
  follow: ((start: RunStart) => RunFollower) | undefined;
}
