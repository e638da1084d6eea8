/** Who has handed something out: a session. */
export interface Owner {
  /** @throws {SessionError} when the session may not be used here and now */
  assertUsable(): void;
  /** Makes the text of a statement, which is no use yet: a subquery may be of another session. */
  compile<Text>(work: () => Text): Text;
  /** Reads a stream, as long as the session may be used. One that is in no transaction has a connection of its own. */
  read<Item>(stream: AsyncIterator<Item>, transaction: unknown): AsyncGenerator<Item, void>;
}
