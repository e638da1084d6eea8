import type { AttemptSignals } from './attempt-signals.js';
import { LONGEST_MS } from '../../session/assert-options.js';
import { reportEndFailure } from '../../session/scope/report-end-failure.js';
import { CommitUnknownError } from '../../session/session-error.js';
import type { LiveScope } from '../../session/scope/live-scope.js';

/** Milliseconds that a commit gets after the time-out, if it has begun before. */
const LATE_MS = 800;

/** Why an attempt is cancelled before its worker ends. */
export interface Cancellation {
  readonly ending: 'timeout' | 'aborted';
  readonly reason: unknown;
}

/**
 * Ends one attempt before its worker ends: cancels its statement, closes its session, and rolls back its transaction.
 * The code of the worker may run on, but its session throws SessionClosedError.
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

  /** Aborts when the attempt is cancelled. Cancels the statement that runs on the server. */
  get statements(): AbortSignal {
    return this.#statements.signal;
  }

  get cancellation(): Cancellation | undefined {
    return this.#cancellation ?? this.#late;
  }

  attach(scope: LiveScope): void {
    this.#scope = scope;
  }

  /** Cancels the attempt after some milliseconds, unless it finishes or gets a new time before. */
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
   * Declares the work finished. Only the commit or the rollback is left, and a commit cannot be taken back. It is given
   * up only when the time is up and the server does not answer.
   */
  finish(): void {
    this.#isFinished = true;
  }

  /** Stops the timers: the attempt has ended. */
  forget(): void {
    this.#isForgotten = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#lateTimer);
  }

  /** Waits for the attempt. When it is cancelled, waits only until its session is closed. */
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
      // The answer may have arrived without being read yet.
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
