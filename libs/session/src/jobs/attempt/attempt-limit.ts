import type { AttemptSignals } from './attempt-signals.js';
import { LONGEST_MS } from '../../session/assert-options.js';
import { reportEndFailure } from '../../session/scope/report-end-failure.js';
import { CommitUnknownError } from '../../session/session-error.js';
import type { LiveScope } from '../../session/scope/live-scope.js';

/** How long a commit that has begun may go on after the end of its time. */
const LATE_MS = 800;

/** Why an attempt is cancelled before its worker ends. */
export interface Cancellation {
  readonly ending: 'timeout' | 'aborted';
  readonly reason: unknown;
}

/**
 * Ends one attempt before its worker does: its statement is cancelled, its session closed, its transaction rolled back.
 * Its code may run on, but its session throws SessionClosedError.
 */
export class AttemptLimit {
  readonly #signals: AttemptSignals;
  readonly #statements = new AbortController();
  readonly #closed = Promise.withResolvers<void>();
  #scope: LiveScope | undefined;
  #timer: NodeJS.Timeout | undefined;
  #cancellation: Cancellation | undefined;
  #late: Cancellation | undefined;
  #lateTimer: NodeJS.Timeout | undefined;
  #isFinished = false;
  #isForgotten = false;

  constructor(signals: AttemptSignals) {
    this.#signals = signals;
  }

  /** Cancels what runs on the server. Aborts when the attempt is cancelled. */
  get statements(): AbortSignal {
    return this.#statements.signal;
  }

  get cancellation(): Cancellation | undefined {
    return this.#cancellation ?? this.#late;
  }

  attach(scope: LiveScope): void {
    this.#scope = scope;
  }

  /** Cancels the attempt after some time, unless it is finished or gets more time before. */
  allow(milliseconds: number, makeReason: () => unknown): void {
    clearTimeout(this.#timer);
    if (!this.#isFinished) {
      this.#timer = setTimeout(() => this.cancel('timeout', makeReason()), Math.min(milliseconds, LONGEST_MS));
    }
  }

  /** Cancels the attempt, unless it is finished. */
  cancel(ending: Cancellation['ending'], reason: unknown): void {
    if (this.#isForgotten || this.#cancellation !== undefined) {
      return;
    }
    if (this.#isFinished) {
      this.#endLate(ending, reason);
      return;
    }
    this.finish();
    this.#cancellation = { ending, reason };
    this.#statements.abort(reason);
    void this.#close(ending);
    this.#signals.abort(reason);
  }

  /**
   * Declares the attempt finished: what is left is its commit, which nobody could take back, or its rollback. It is given up
   * only when its time is up and the server does not answer.
   */
  finish(): void {
    this.#isFinished = true;
  }

  /** Forgets the attempt, of which nothing is left. */
  forget(): void {
    this.#isForgotten = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#lateTimer);
  }

  /** Waits for the attempt, or for its session to be closed when it is cancelled. */
  async guard<Result>(attempt: Promise<Result>): Promise<Result> {
    let result: Result | void;
    try {
      result = await Promise.race([attempt, this.#closed.promise]);
    } catch (error) {
      throw this.cancellation === undefined || error instanceof CommitUnknownError ? error : this.cancellation.reason;
    }
    if (this.#cancellation !== undefined) {
      throw this.#cancellation.reason;
    }
    return result as Result;
  }

  #endLate(ending: Cancellation['ending'], reason: unknown): void {
    this.#lateTimer ??= setTimeout(
      // The answer may have come, and not be read yet.
      () =>
        setImmediate(() => {
          if (!this.#isForgotten) {
            this.#late = { ending, reason };
            this.#scope?.dropConnections();
          }
        }),
      LATE_MS,
    );
  }

  async #close(ending: Cancellation['ending']): Promise<void> {
    const scope = this.#scope;
    await scope?.end(ending).catch((error: unknown) => reportEndFailure(scope, error));
    this.#closed.resolve();
  }
}
