import type { JobOutcome } from '../job-outcome.js';

/** Describes a run at its beginning. */
export interface RunStart {
  readonly label: string;
  /** The number of inputs, where it is known in advance. */
  readonly total: number | undefined;
  /** The number of chunks that run at once. */
  readonly lanes: number;
}

/** Observes one run. */
export interface RunFollower {
  ended(outcome: JobOutcome<unknown, unknown>): void;
  /** Called when every job of the run has ended. */
  over(): void;
}

/** Holds the observer of the runs of an application, if there is one. */
export class RunWatch {
  /** Called when a run begins. */
  follow: ((start: RunStart) => RunFollower) | undefined;
}
