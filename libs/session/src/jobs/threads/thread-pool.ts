import { JobThread } from './job-thread.js';

/**
 * A number of threads with equal shares of connections. Each starts when it is first needed, and is replaced when it
 * has ended by itself.
 */
export class ThreadPool {
  /** The number of runs that use the threads. */
  users = 0;
  readonly #threads: JobThread[] = [];

  constructor(
    readonly size: number,
    private readonly start: () => JobThread,
  ) {}

  /** Returns the first threads. */
  take(count: number): JobThread[] {
    for (let place = 0; place < count; place += 1) {
      const thread = this.#threads[place];
      if (thread === undefined || thread.isOver) {
        this.#threads[place] = this.start();
      }
    }
    return this.#threads.slice(0, count);
  }

  /** Ends all threads. */
  async close(): Promise<void> {
    const results = await Promise.allSettled(this.#threads.map((thread) => thread.close()));
    const failures = results.filter((result) => result.status === 'rejected').map(({ reason }) => reason as unknown);
    if (failures.length > 0) {
      throw new AggregateError(failures, `${failures.length} threads could not be closed cleanly`);
    }
  }
}
