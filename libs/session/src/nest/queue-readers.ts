/** What is in a queue of durable jobs. */
export interface QueueDepth {
  readonly name: string;
  readonly ready: number;
  readonly active: number;
  readonly deferred: number;
  readonly failed: number;
  /** The queue that its jobs go to when they have failed for good. */
  readonly deadLetter: string | undefined;
}

/** Counts the jobs of queues, whenever it is called. */
export type ReadQueues = () => Promise<readonly QueueDepth[]>;

/** Knows how to count the durable jobs of the application, where it has any. */
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
