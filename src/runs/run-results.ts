import type { JobOutcome } from 'nestjs-mikro-session';

import { type Failure, toFailure } from './failure.js';
import type { FailureLog } from './failure-log.js';
import type { LiveRun } from './live-run.js';
import type { NumberAt } from './part-numbers.js';
import type { RunStore } from './run-store.js';

/** The number of failures that are held before they are stored. */
const MOST_HELD = 1_000;

export type RunOutcome = JobOutcome<NumberAt, void>;

/** Counts the outcomes of the jobs of a run, and stores the failures before they take too much memory. */
export class RunResults {
  readonly #live: LiveRun;
  readonly #log: FailureLog;
  readonly #store: RunStore;
  #unstored: Failure[] = [];
  #done = 0;
  #failed = 0;

  constructor(live: LiveRun, log: FailureLog, store: RunStore) {
    this.#live = live;
    this.#log = log;
    this.#store = store;
  }

  get done(): number {
    return this.#done;
  }

  get failed(): number {
    return this.#failed;
  }

  get unstored(): readonly Failure[] {
    return this.#unstored;
  }

  /** @param isOfLastPart whether the time of the rest can be estimated from the jobs before */
  async count(outcome: RunOutcome, isOfLastPart: boolean): Promise<void> {
    if (outcome.status === 'fulfilled') {
      this.#done += 1;
    } else if (outcome.attempts > 0) {
      this.#failed += 1;
      await this.#keep(outcome.input, outcome.reason);
    } else {
      // The job never began, so it has not failed.
      return;
    }
    this.#live.progress({ done: this.#done, failed: this.#failed }, isOfLastPart ? 'known' : 'unknown');
  }

  async #keep({ index, number }: NumberAt, reason: unknown): Promise<void> {
    const { id } = this.#live.view;
    const failure = toFailure(index, number, reason);
    this.#log.tell(id, failure, reason);
    this.#unstored.push(failure);
    if (this.#unstored.length % MOST_HELD !== 0) {
      return;
    }
    const failures = this.#unstored;
    const isStored = await this.#store.storeFailures(id, failures).then(
      () => true,
      // The database cannot be reached. It is tried again with the next thousand, or at the end of the run.
      () => false,
    );
    if (isStored) {
      this.#unstored = [];
    }
  }
}
