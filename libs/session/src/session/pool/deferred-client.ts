import type { DeferredConnection } from './deferred-connection.js';
import { transactionEnded } from './unexpected-end.js';

/**
 * What the pool gives for the connection of a transaction that comes with its first statement. Kysely keeps it in a WeakMap,
 * and what is in an old WeakMap lives until the next full garbage collection: it lets go of all that it knows when it is
 * given back.
 */
export class DeferredClient {
  #connection: DeferredConnection | undefined;

  constructor(
    connection: DeferredConnection,
    private readonly label: string,
  ) {
    this.#connection = connection;
  }

  /** Unknown before there is a connection: Kysely asks the server then, that is this object. */
  // Seam: kysely/session-info
  get processID(): number | null | undefined {
    return this.#connection?.lease?.client.processID;
  }

  /** @throws {SessionStateError} after the transaction */
  query(text: unknown, values: unknown, callback: unknown): unknown {
    if (this.#connection === undefined) {
      throw transactionEnded(this.label);
    }
    return this.#connection.query(text, values, callback);
  }

  release(error?: Error | boolean): void {
    this.#connection?.release(error);
    this.#connection = undefined;
  }
}
