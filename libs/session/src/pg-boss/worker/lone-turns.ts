/**
 * Lets the jobs that may end their process run one at a time in it, of whichever queue, and not before those that the
 * other lanes have fetched are back in their queues: only the job that runs is lost with the process.
 */
export class LoneTurns {
  readonly #returning = new Set<Promise<unknown>>();
  #last: Promise<unknown> = Promise.resolve();

  /** Does work when what came before is done. */
  take(work: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Follows the return of jobs to their queue. */
  async follow<Result>(returning: Promise<Result>): Promise<Result> {
    this.#returning.add(returning);
    try {
      return await returning;
    } finally {
      this.#returning.delete(returning);
    }
  }

  async untilReturned(): Promise<void> {
    while (this.#returning.size > 0) {
      await Promise.allSettled(this.#returning);
    }
  }
}
