interface OpenStream {
  readonly stream: AsyncIterator<unknown>;
  /** A stream within a transaction reads through the connection of that, any other through one of its own. */
  readonly transaction: unknown;
  /** True while its reader is busy with a row. */
  isPaused: boolean;
}

/** Knows the streams of a session that are being read. Outside of transactions, each keeps a connection until its end. */
export class OpenStreams {
  readonly #open = new Set<OpenStream>();

  constructor(
    private readonly assertUsable: () => void,
    private readonly opening: () => void,
  ) {}

  get isReading(): boolean {
    return this.#open.size > 0;
  }

  /** The streams that hold a connection of their own until their reader goes on. */
  get paused(): OpenStream[] {
    return [...this.#open].filter(({ transaction, isPaused }) => transaction === undefined && isPaused);
  }

  /** Reads a stream, as long as the session may be used. */
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

  /** Closes the streams that nobody read to their end, or those of one transaction. Tells whether there were any. */
  async close(transaction?: unknown): Promise<boolean> {
    const left = [...this.#open].filter((open) => transaction === undefined || open.transaction === transaction);
    await Promise.allSettled(left.map(async ({ stream }) => stream.return?.()));
    return left.length > 0;
  }
}
