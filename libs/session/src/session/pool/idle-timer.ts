/** Calls back after some time without an event. */
export class IdleTimer {
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly milliseconds: number,
    private readonly onIdle: () => void,
  ) {}

  /** Starts or restarts the timer. */
  start(): void {
    if (this.#timer === undefined) {
      this.#timer = setTimeout(this.onIdle, this.milliseconds).unref();
    } else {
      this.#timer.refresh();
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
