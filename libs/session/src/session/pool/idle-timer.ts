/** Calls back when nothing has happened for some time. */
export class IdleTimer {
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly milliseconds: number,
    private readonly onIdle: () => void,
  ) {}

  /** Begins to count, or begins anew. */
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
