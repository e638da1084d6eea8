/** Knows the streams of a session that are being read. The cursor of each keeps a connection busy until its end. */
export class OpenStreams {
  readonly #open = new Set<AsyncIterator<unknown>>();

  constructor(private readonly assertUsable: () => void) {}

  /** Reads a stream, as long as the session may be used. */
  async *read<Item>(stream: AsyncIterator<Item>): AsyncGenerator<Item, void> {
    this.#open.add(stream);
    try {
      for (let next = await stream.next(); next.done !== true; next = await stream.next()) {
        yield next.value;
        this.assertUsable();
      }
    } finally {
      this.#open.delete(stream);
      await stream.return?.();
    }
  }

  /** Closes the streams that nobody read to their end. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.#open].map(async (stream) => stream.return?.()));
  }
}
