import type { DeferredConnection } from './deferred-connection.js';
import { transactionEnded } from './unexpected-end.js';

/**
 * The client that the pool returns for a transaction without a connection. The connection comes with the first
 * statement. Kysely keeps the client in a WeakMap, where it may live until the next full garbage collection. So it
 * drops all its references when it is given back.
 */
export class DeferredClient {
  #connection: DeferredConnection | undefined;

  constructor(
    connection: DeferredConnection,
    private readonly label: string,
  ) {
    this.#connection = connection;
  }

  /** Undefined before there is a connection. Kysely asks the server then, which reaches this object. */
  // Seam: kysely/session-info
  get processID(): number | null | undefined {
    return this.#connection?.lease?.client.processID;
  }

  /** @throws {SessionStateError} after the end of the transaction */
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
