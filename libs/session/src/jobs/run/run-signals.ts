import { AttemptLimit } from '../attempt/attempt-limit.js';
import { AttemptSignals } from '../attempt/attempt-signals.js';
import { type Enrolled, Roster } from '../../session/scope/roster.js';

export interface RunSignalsOptions {
  /** Aborts when the application shuts down. Running jobs may finish. */
  readonly shutdown: AbortSignal;
  readonly signal: AbortSignal | undefined;
  readonly whenAborted: 'cancel' | 'finish';
  readonly timeout: number | undefined;
}

/** The signals and the limit of a running attempt. */
export interface RunningAttempt extends Enrolled<RunningAttempt> {
  readonly signals: AttemptSignals;
  /** Undefined where neither a time-out nor a signal can end the attempt. */
  readonly limit: AttemptLimit | undefined;
}

/**
 * Ends the jobs of one run early, when a signal of the application or the user aborts. It listens to these signals once
 * for the whole run, and not after it. Each job gets a signal of its own to listen to.
 */
export class RunSignals {
  readonly #options: RunSignalsOptions;
  readonly #isLimited: boolean;
  readonly #running = new Roster<RunningAttempt>();
  #stop: { readonly reason: unknown } | undefined;
  #abortSignal: AbortController | undefined;

  constructor(options: RunSignalsOptions) {
    const { signal, whenAborted, timeout } = options;
    this.#options = options;
    this.#isLimited = timeout !== undefined || (signal !== undefined && whenAborted === 'cancel');
  }

  /** Aborts with the signal of the user or of the application, while the run follows them. */
  get abortSignal(): AbortSignal {
    this.#abortSignal ??= new AbortController();
    const aborted = this.#aborted;
    if (aborted !== undefined) {
      this.#abortSignal.abort(aborted.reason);
    }
    return this.#abortSignal.signal;
  }

  /** The reason why no further job starts. Undefined while jobs may start. */
  get stopped(): { readonly reason: unknown } | undefined {
    return this.#aborted ?? this.#stop;
  }

  /** Starts no further job. Running jobs go on. */
  stop(reason: unknown): void {
    this.#stop ??= { reason };
  }

  /** Follows the signals until the run is over. */
  follow(): Disposable {
    const { signal, shutdown } = this.#options;
    const onAbort = (): void => this.#onAbort();
    const onShutdown = (): void => this.#abortSignals(shutdown.reason);
    signal?.addEventListener('abort', onAbort);
    shutdown.addEventListener('abort', onShutdown);
    return {
      [Symbol.dispose]: () => {
        signal?.removeEventListener('abort', onAbort);
        shutdown.removeEventListener('abort', onShutdown);
      },
    };
  }

  /** Registers an attempt, until leave() is called for it. */
  enter(): RunningAttempt {
    const signals = new AttemptSignals();
    const attempt: RunningAttempt = { signals, limit: this.#isLimited ? new AttemptLimit(signals) : undefined };
    this.#running.add(attempt);
    const aborted = this.#aborted;
    if (aborted !== undefined) {
      signals.abort(aborted.reason);
    }
    return attempt;
  }

  leave(attempt: RunningAttempt): void {
    attempt.limit?.forget();
    this.#running.delete(attempt);
  }

  get #aborted(): { readonly reason: unknown } | undefined {
    const { shutdown, signal } = this.#options;
    const by = signal?.aborted === true ? signal : shutdown;
    return by.aborted ? { reason: by.reason } : undefined;
  }

  #onAbort(): void {
    const { signal, whenAborted } = this.#options;
    if (whenAborted === 'cancel') {
      [...this.#running].forEach(({ limit }) => limit?.cancel('aborted', signal?.reason));
    }
    this.#abortSignals(signal?.reason);
  }

  /** Aborts the signals of the workers. The workers decide how to end. */
  #abortSignals(reason: unknown): void {
    this.#abortSignal?.abort(reason);
    [...this.#running].forEach(({ signals }) => signals.abort(reason));
  }
}
