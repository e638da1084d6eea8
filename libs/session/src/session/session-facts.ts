/** What an observer can see of a session. */
export interface SessionFacts {
  /** The name of its connection. */
  readonly connection: string;
  /** How many entities it manages. */
  readonly entities: number;
  /** How many entities wait for a flush to write or remove them. */
  readonly unflushed: number;
  /** How many of its transactions and savepoints are open. */
  readonly depth: number;
  /** The line of code that opened it. Known only with the option `leakAfter`. */
  readonly place: string | undefined;
}
