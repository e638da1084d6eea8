import { AttemptLimit } from '../attempt/attempt-limit.js';
import { AttemptSignals } from '../attempt/attempt-signals.js';
import { type Enrolled, Roster } from '../../session/scope/roster.js';

export interface RunSignalsOptions {
  /** Aborts when the application shuts down, which lets running jobs finish. */
  readonly shutdown: AbortSignal;
  readonly signal: AbortSignal | undefined;
  readonly whenAborted: 'cancel' | 'finish';
  readonly timeout: number | undefined;
}

/** How one attempt can be reached from outside while it runs. */
export interface RunningAttempt extends Enrolled<RunningAttempt> {
  readonly signals: AttemptSignals;
  /** Where there is anything to limit it. */
  readonly limit: AttemptLimit | undefined;
}

/**
 * Knows what ends the jobs of one run early, and which of them it has to reach. The signals of the application and of the
 * user are listened to once for the whole run, and not at all after it: whatever a job adds a listener to is its own.
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

  /** Aborts when no further job starts, while the signals are followed. */
  get abortSignal(): AbortSignal {
    this.#abortSignal ??= new AbortController();
    const aborted = this.#aborted;
    if (aborted !== undefined) {
      this.#abortSignal.abort(aborted.reason);
    }
    return this.#abortSignal.signal;
  }

  /** Why no further job starts, if none does. */
  get stopped(): { readonly reason: unknown } | undefined {
    return this.#aborted ?? this.#stop;
  }

  /** Starts no further job, and lets the running ones be. */
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

  /** Reaches an attempt until it is left. */
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

  /** Tells the workers, and leaves their jobs to them. */
  #abortSignals(reason: unknown): void {
    this.#abortSignal?.abort(reason);
    [...this.#running].forEach(({ signals }) => signals.abort(reason));
  }
}
