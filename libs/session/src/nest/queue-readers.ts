/** The number of jobs in a durable queue, by their state. */
export interface QueueDepth {
  readonly name: string;
  readonly ready: number;
  readonly active: number;
  readonly deferred: number;
  readonly failed: number;
  /** Jobs that were completed per second, over the last minute. */
  readonly rate: number;
  /** The dead letter queue, which gets the jobs that have failed for good. */
  readonly deadLetter: string | undefined;
}

/** Counts the jobs of queues. */
export type ReadQueues = () => Promise<readonly QueueDepth[]>;

/** Collects the functions that count the durable jobs of the application. */
export class QueueReaders {
  readonly #readers: ReadQueues[] = [];

  add(read: ReadQueues): void {
    this.#readers.push(read);
  }

  get isEmpty(): boolean {
    return this.#readers.length === 0;
  }

  async read(): Promise<QueueDepth[]> {
    const queues = await Promise.all(this.#readers.map((read) => read()));
    return queues.flat();
  }
}
