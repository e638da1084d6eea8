/**
 * Lets jobs that may end their process run one at a time in the whole process, whatever their queue. Such a job runs
 * only when the jobs that other lanes have fetched are back in their queues: then only the running job is lost with the
 * process.
 */
export class LoneTurns {
  readonly #returning = new Set<Promise<unknown>>();
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `work` when the work before it is done. */
  take(work: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Makes the next turn wait for the return of jobs to their queue. */
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
