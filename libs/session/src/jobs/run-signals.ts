import { AttemptLimit } from './attempt-limit.js';

export interface RunSignalsOptions {
  /** Aborts when the application shuts down, which lets running jobs finish. */
  readonly shutdown: AbortSignal;
  readonly signal: AbortSignal | undefined;
  readonly whenAborted: 'cancel' | 'finish';
  readonly timeout: number | undefined;
}

/** Knows what ends the jobs of one run early, and which of them it has to reach. */
export class RunSignals {
  readonly #options: RunSignalsOptions;
  readonly #isLimited: boolean;
  readonly #limits = new Set<AttemptLimit>();
  #stop: { readonly reason: unknown } | undefined;
  #told: AbortSignal | undefined;

  constructor(options: RunSignalsOptions) {
    const { signal, whenAborted, timeout } = options;
    this.#options = options;
    this.#isLimited = timeout !== undefined || (signal !== undefined && whenAborted === 'cancel');
  }

  /** Aborts when no further job starts. What running jobs are told that have no limit of their own. */
  get told(): AbortSignal {
    const { shutdown, signal } = this.#options;
    // Made on demand: it takes as long as some other parts of a job together.
    return (this.#told ??= signal === undefined ? shutdown : AbortSignal.any([shutdown, signal]));
  }

  /** Why no further job starts, if none does. */
  get stopped(): { readonly reason: unknown } | undefined {
    const { shutdown, signal } = this.#options;
    if (signal?.aborted === true) {
      return { reason: signal.reason };
    }
    return shutdown.aborted ? { reason: shutdown.reason } : this.#stop;
  }

  /** Starts no further job, and lets the running ones be. */
  stop(reason: unknown): void {
    this.#stop ??= { reason };
  }

  /** Follows the signals until the run is over. */
  follow(): Disposable {
    const { signal, shutdown } = this.#options;
    if (!this.#isLimited) {
      return { [Symbol.dispose]: () => undefined };
    }
    const onAbort = (): void => this.#onAbort();
    const onShutdown = (): void => this.#limits.forEach((limit) => limit.tell(shutdown.reason));
    signal?.addEventListener('abort', onAbort);
    shutdown.addEventListener('abort', onShutdown);
    return {
      [Symbol.dispose]: () => {
        signal?.removeEventListener('abort', onAbort);
        shutdown.removeEventListener('abort', onShutdown);
      },
    };
  }

  /** Makes the limit of one attempt, where there is anything to limit it. */
  createLimit(): AttemptLimit | undefined {
    if (!this.#isLimited) {
      return undefined;
    }
    const limit = new AttemptLimit();
    this.#limits.add(limit);
    return limit;
  }

  forget(limit: AttemptLimit): void {
    this.#limits.delete(limit);
  }

  #onAbort(): void {
    const { signal, whenAborted } = this.#options;
    for (const limit of this.#limits) {
      if (whenAborted === 'cancel') {
        limit.end('aborted', signal?.reason);
      } else {
        limit.tell(signal?.reason);
      }
    }
  }
}
