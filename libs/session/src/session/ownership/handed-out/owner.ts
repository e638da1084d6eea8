/** The session that has handed something out. */
export interface Owner {
  /** @throws {SessionError} when the session may not be used here and now */
  assertUsable(): void;
  /** Compiles a statement to text. That is not a use of the session yet: a subquery may belong to another session. */
  compile<Text>(work: () => Text): Text;
  /** Reads a stream while the session may be used. A stream outside of transactions has a connection of its own. */
  read<Item>(stream: AsyncIterator<Item>, transaction: unknown): AsyncGenerator<Item, void>;
}
