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
  /** Counts the attempts of all runs. */
  readonly id: number;
  /** Names the job of an input, for errors. */
  readonly nameJob: (culprit: number | undefined) => string;
  /** Why it should have ended by now, if it should. */
  due: { readonly ending: Exclude<JobEnding, 'failed'>; readonly culprit: number | undefined } | undefined;
  timer: NodeJS.Timeout | undefined;
}

/**
 * Watches the attempts of one thread. A thread ends them itself when their time is up or they are cancelled, unless it
 * is blocked by a loop that never awaits: then all of it is ended, since nothing else would help.
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

  /** Whose time was up when the thread was found blocked, if that is why it has ended. */
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

  /** Gives an attempt its time, or all the time there is. */
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

  /** Expects the end of an attempt that its thread was told to cancel. */
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

  /** Looks after the thread for as long as it owes the end of an attempt. */
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

  /** A time-out is kept at any price. For a mere cancellation no other jobs of the thread are lost. */
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
