import type { AttemptSignals } from './attempt-signals.js';
import { LONGEST_MS } from '../../session/option-rules.js';
import { reportEndFailure } from '../../session/scope/report-end-failure.js';
import { CommitUnknownError } from '../../session/session-error.js';
import type { LiveScope } from '../../session/scope/live-scope.js';

/** How long a commit that has begun may go on after the end of its time. */
const LATE_MS = 800;

/** How an attempt can be ended before its worker ends. */
export type Cut = 'timedOut' | 'aborted';

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
  #cut: { readonly ending: Cut; readonly reason: unknown } | undefined;
  #late: { readonly ending: Cut; readonly reason: unknown } | undefined;
  #lateTimer: NodeJS.Timeout | undefined;
  #isOver = false;
  #isFinished = false;

  constructor(signals: AttemptSignals) {
    this.#signals = signals;
  }

  /** Cancels what runs on the server. Aborts when the attempt is cut. */
  get statements(): AbortSignal {
    return this.#statements.signal;
  }

  get cut(): { readonly ending: Cut; readonly reason: unknown } | undefined {
    return this.#cut ?? this.#late;
  }

  attach(scope: LiveScope): void {
    this.#scope = scope;
  }

  /** Cuts the attempt after some time, unless it is over or gets more time before. */
  allow(milliseconds: number, makeReason: () => unknown): void {
    clearTimeout(this.#timer);
    if (!this.#isOver) {
      this.#timer = setTimeout(() => this.end('timedOut', makeReason()), Math.min(milliseconds, LONGEST_MS));
    }
  }

  /** Cuts the attempt, unless it is over. */
  end(ending: Cut, reason: unknown): void {
    if (this.#isFinished || this.#cut !== undefined) {
      return;
    }
    if (this.#isOver) {
      this.#endLate(ending, reason);
      return;
    }
    this.pass();
    this.#cut = { ending, reason };
    this.#statements.abort(reason);
    void this.#close(ending);
    this.#signals.abort(reason);
  }

  /**
   * Declares the attempt over: what is left is its commit, which nobody could take back, or its rollback. It is given up
   * only when its time is up and the server does not answer.
   */
  pass(): void {
    this.#isOver = true;
  }

  /** Forgets the attempt, of which nothing is left. */
  finish(): void {
    this.#isFinished = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#lateTimer);
  }

  /** Waits for the attempt, or for its session to be closed when it is cut. */
  async guard<Result>(attempt: Promise<Result>): Promise<Result> {
    let result: Result | void;
    try {
      result = await Promise.race([attempt, this.#closed.promise]);
    } catch (error) {
      throw this.cut === undefined || error instanceof CommitUnknownError ? error : this.cut.reason;
    }
    if (this.#cut !== undefined) {
      throw this.#cut.reason;
    }
    return result as Result;
  }

  #endLate(ending: Cut, reason: unknown): void {
    this.#lateTimer ??= setTimeout(
      // The answer may have come, and not be read yet.
      () =>
        setImmediate(() => {
          if (!this.#isFinished) {
            this.#late = { ending, reason };
            this.#scope?.dropConnections();
          }
        }),
      LATE_MS,
    );
  }

  async #close(ending: Cut): Promise<void> {
    const scope = this.#scope;
    await scope?.end(ending).catch((error: unknown) => reportEndFailure(scope, error));
    this.#closed.resolve();
  }
}
