interface OpenStream {
  readonly stream: AsyncIterator<unknown>;
  /** The transaction of the stream, whose connection it uses. A stream without one has a connection of its own. */
  readonly transaction: unknown;
  /** True while the reader works on a row. */
  isPaused: boolean;
}

/**
 * Keeps the streams of a session that are being read. Outside of transactions, each stream holds a connection until its
 * end.
 */
export class OpenStreams {
  readonly #open = new Set<OpenStream>();

  constructor(
    private readonly assertUsable: () => void,
    private readonly opening: () => void,
  ) {}

  get isReading(): boolean {
    return this.#open.size > 0;
  }

  /** The streams that hold a connection of their own while their reader works on a row. */
  get paused(): OpenStream[] {
    return [...this.#open].filter(({ transaction, isPaused }) => transaction === undefined && isPaused);
  }

  /** Reads a stream while the session may be used. */
  async *read<Item>(stream: AsyncIterator<Item>, transaction: unknown): AsyncGenerator<Item, void> {
    this.assertUsable();
    this.opening();
    const open: OpenStream = { stream, transaction, isPaused: false };
    this.#open.add(open);
    try {
      for (let next = await stream.next(); next.done !== true; next = await stream.next()) {
        open.isPaused = true;
        yield next.value;
        open.isPaused = false;
        this.assertUsable();
      }
    } finally {
      this.#open.delete(open);
      await stream.return?.();
    }
  }

  /** Closes the half-read streams, or those of one transaction. Returns whether there were any. */
  async close(transaction?: unknown): Promise<boolean> {
    const left = [...this.#open].filter((open) => transaction === undefined || open.transaction === transaction);
    await Promise.allSettled(left.map(async ({ stream }) => stream.return?.()));
    return left.length > 0;
  }
}
