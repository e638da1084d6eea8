import { setTimeout as pause } from 'node:timers/promises';

import { LONGEST_MS } from '../../session/assert-options.js';
import type { JobEnding } from '../job-outcome.js';
import type { AllowanceNotice } from './thread-answer.js';

interface Thread {
  isResponsive(): Promise<boolean>;
  kill(): Promise<void>;
}

/** An attempt that a thread has begun. */
export interface WatchedAttempt {
  /** The number of the attempt, unique over all runs. */
  readonly id: number;
  /** Returns the name of the job of an input, for errors. */
  readonly nameJob: (culprit: number | undefined) => string;
  /** Why the attempt should have ended by now. Undefined while it may go on. */
  due: { readonly ending: Exclude<JobEnding, 'failed'>; readonly culprit: number | undefined } | undefined;
  timer: NodeJS.Timeout | undefined;
}

/**
 * Watches the attempts of one thread. The thread itself ends them when their time is up or when they are cancelled. A
 * thread that is blocked by a loop without `await` cannot do that: then the whole thread is ended.
 */
export class ThreadWatch {
  readonly #thread: Thread;
  readonly #patience: number;
  readonly #attempts = new Map<number, WatchedAttempt>();
  #isLooking = false;
  #blockedBy: string | undefined;

  constructor(thread: Thread, patience: number) {
    this.#thread = thread;
    this.#patience = patience;
  }

  /** The job whose time was up when the thread was found blocked, if the thread was ended because of that. */
  get blockedBy(): string | undefined {
    return this.#blockedBy;
  }

  begin(attempt: WatchedAttempt): void {
    this.#attempts.set(attempt.id, attempt);
  }

  end(attempt: WatchedAttempt): void {
    clearTimeout(attempt.timer);
    this.#attempts.delete(attempt.id);
  }

  /** Starts the time of an attempt. Without an allowance, the attempt has no limit. */
  allow({ attempt: id, allowance }: AllowanceNotice): void {
    const attempt = this.#attempts.get(id);
    if (attempt === undefined || attempt.due?.ending === 'aborted') {
      return;
    }
    clearTimeout(attempt.timer);
    attempt.due = undefined;
    if (allowance !== undefined) {
      const { milliseconds, culprit } = allowance;
      attempt.timer = setTimeout(() => this.#expect(attempt, 'timeout', culprit), Math.min(milliseconds, LONGEST_MS));
    }
  }

  /** Called when the thread was told to cancel an attempt: the attempt should end soon. */
  cancel(attempt: WatchedAttempt): void {
    this.#expect(attempt, 'aborted', undefined);
  }

  #expect(attempt: WatchedAttempt, ending: 'timeout' | 'aborted', culprit: number | undefined): void {
    clearTimeout(attempt.timer);
    attempt.due = { ending, culprit };
    if (!this.#isLooking) {
      this.#isLooking = true;
      void this.#look().finally(() => (this.#isLooking = false));
    }
  }

  /** Checks the thread as long as an attempt should have ended and has not. */
  async #look(): Promise<void> {
    while (this.#due.length > 0) {
      if (!(await this.#thread.isResponsive()) && this.#mayKill()) {
        this.#blockedBy = this.#findBlocker();
        await this.#thread.kill();
        return;
      }
      await pause(this.#patience, undefined, { ref: false });
    }
  }

  get #due(): readonly WatchedAttempt[] {
    return [...this.#attempts.values()].filter(({ due }) => due !== undefined);
  }

  /**
   * Whether the thread may be ended. A time-out is always enforced. For a cancellation alone, no other jobs of the
   * thread are lost.
   */
  #mayKill(): boolean {
    const due = this.#due;
    return (
      due.length > 0 && (due.length === this.#attempts.size || due.some(({ due: why }) => why?.ending === 'timeout'))
    );
  }

  #findBlocker(): string | undefined {
    const attempt = this.#due.find(({ due }) => due?.ending === 'timeout');
    return attempt?.nameJob(attempt.due?.culprit);
  }
}
