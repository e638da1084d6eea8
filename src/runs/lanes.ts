interface Waiter {
  readonly count: number;
  readonly start: () => void;
}

/** Shares out a fixed number of lanes, first come, first served, so that the jobs of all runs leave connections to requests. */
export class Lanes {
  #free: number;
  #waiters: readonly Waiter[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /**
   * Waits until `count` lanes are free. Gives the function that gives them back.
   *
   * @throws the reason of the signal, when it aborts first
   */
  async take(count: number, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    const turn = Promise.withResolvers<void>();
    const waiter: Waiter = { count, start: turn.resolve };
    const leave = (): void => {
      this.#waiters = this.#waiters.filter((other) => other !== waiter);
      turn.reject(signal.reason);
      this.#startNext();
    };
    this.#waiters = [...this.#waiters, waiter];
    this.#startNext();
    signal.addEventListener('abort', leave, { once: true });
    try {
      await turn.promise;
    } finally {
      signal.removeEventListener('abort', leave);
    }
    return () => {
      this.#free += count;
      this.#startNext();
    };
  }

  #startNext(): void {
    const [next, ...others] = this.#waiters;
    if (next === undefined || next.count > this.#free) {
      return;
    }
    this.#free -= next.count;
    this.#waiters = others;
    next.start();
    this.#startNext();
  }
}
