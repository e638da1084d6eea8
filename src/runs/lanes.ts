/** Lanes for the first jobs of short runs only, so that these do not wait for the jobs of long runs. */
const FOR_SHORT_RUNS = 4;

/**
 * A run may hold this many times the number of lanes that it leaves free. So a single run leaves a few for later runs.
 */
const SHARE = 8;

interface Waiter {
  readonly start: () => void;
}

/**
 * Shares a fixed number of lanes between runs, so that their jobs leave connections for requests. Each job takes a
 * lane. The run with the fewest lanes is served first, and the more runs wait, the fewer lanes each gets.
 */
export class Lanes {
  #free: number;
  #waiting: readonly LaneShare[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /** @param run `isShort`: whether the run has so few jobs that it does not have to wait for those of long runs */
  share(run: { readonly isShort: boolean }): LaneShare {
    const share: LaneShare = new LaneShare(run.isShort, {
      wait: () => {
        this.#waiting = [...this.#waiting.filter((other) => other !== share), share];
        this.#startNext();
      },
      free: () => {
        this.#free += 1;
        this.#startNext();
      },
    });
    return share;
  }

  #startNext(): void {
    for (let next = this.#findNext(); next !== undefined; next = this.#findNext()) {
      const share = next;
      this.#free -= 1;
      const others = this.#waiting.filter((other) => other !== share);
      share.startOne();
      // Behind the runs with the same number of lanes.
      this.#waiting = share.isWaiting ? [...others, share] : others;
    }
  }

  #findNext(): LaneShare | undefined {
    this.#waiting = this.#waiting.filter(({ isWaiting }) => isWaiting);
    return this.#waiting
      .filter((share) => this.#mayStart(share))
      .reduce<LaneShare | undefined>(
        (fewest, share) => (share.held < (fewest?.held ?? Infinity) ? share : fewest),
        undefined,
      );
  }

  #mayStart({ held, isShort }: LaneShare): boolean {
    if (held === 0 && isShort) {
      return this.#free > 0;
    }
    const left = this.#free - FOR_SHORT_RUNS;
    return left > 0 && (held === 0 || held < SHARE * left);
  }
}

interface LaneOffice {
  readonly wait: () => void;
  readonly free: () => void;
}

/** The lanes of one run. */
export class LaneShare {
  readonly #office: LaneOffice;
  #waiters: readonly Waiter[] = [];
  #held = 0;

  constructor(
    readonly isShort: boolean,
    office: LaneOffice,
  ) {
    this.#office = office;
  }

  /** The number of lanes that the run holds. */
  get held(): number {
    return this.#held;
  }

  get isWaiting(): boolean {
    return this.#waiters.length > 0;
  }

  /**
   * Waits for a lane.
   *
   * @throws the reason of the signal, when it aborts first
   */
  async take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const turn = Promise.withResolvers<void>();
    const waiter: Waiter = { start: turn.resolve };
    const leave = (): void => {
      if (this.#waiters.includes(waiter)) {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        turn.reject(signal.reason);
      }
    };
    this.#waiters = [...this.#waiters, waiter];
    signal.addEventListener('abort', leave, { once: true });
    this.#office.wait();
    try {
      await turn.promise;
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  giveBack(): void {
    this.#held -= 1;
    this.#office.free();
  }

  giveAllBack(): void {
    while (this.#held > 0) {
      this.giveBack();
    }
  }

  /** Gives a lane to the caller that has waited longest. */
  startOne(): void {
    const [next, ...others] = this.#waiters;
    this.#waiters = others;
    this.#held += 1;
    next?.start();
  }
}
