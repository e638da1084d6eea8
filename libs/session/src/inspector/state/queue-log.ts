import { describeThrown } from '../../session/describe-thrown.js';
import type { QueueReaders } from '../../nest/queue-readers.js';
import type { QueuesView } from './inspector-state.js';

const INTERVAL_MS = 2_000;
/** Milliseconds to wait for a count. */
const PATIENCE_MS = 1_000;

/** Counts the durable jobs of the application while a client looks. */
export class QueueLog {
  #view: QueuesView = { queues: [], error: undefined };
  #reading: Promise<void> | undefined;
  #readAt = -Infinity;

  constructor(private readonly readers: QueueReaders) {}

  /** The last count. */
  get view(): QueuesView | undefined {
    return this.readers.isEmpty ? undefined : this.#view;
  }

  /** Starts a count, unless one was made a moment ago. */
  refresh(): void {
    if (!this.readers.isEmpty && performance.now() - this.#readAt >= INTERVAL_MS) {
      this.#reading ??= this.#read().finally(() => {
        this.#reading = undefined;
      });
    }
  }

  /** Waits for the running count, but not for long: a person waits for the page. */
  async settled(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, PATIENCE_MS);
    await Promise.race([this.#reading, promise]);
    clearTimeout(timer);
  }

  async #read(): Promise<void> {
    try {
      this.#view = { queues: await this.readers.read(), error: undefined };
    } catch (error) {
      this.#view = { queues: [], error: describeThrown(error) };
    }
    this.#readAt = performance.now();
  }
}
