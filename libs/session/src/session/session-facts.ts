/** What is to be seen of a session from outside. */
export interface SessionFacts {
  /** The name of its connection. */
  readonly connection: string;
  /** How many entities it manages. */
  readonly entities: number;
  /** How many entities wait for a flush to write or remove them. */
  readonly unflushed: number;
  /** How many of its transactions and savepoints are open. */
  readonly depth: number;
  /** The line of code that opened it, where `leakAfter` is on. */
  readonly place: string | undefined;
}
