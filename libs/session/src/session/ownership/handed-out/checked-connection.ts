import type { Connection } from '@mikro-orm/core';

import type { KyselyLike } from './check-kysely.js';
import type { Owner } from './owner.js';

/** The methods of MikroORM's connections that send statements or begin a transaction, or hand out what does. */
// Seam: mikro-orm/connection-methods
const CHECKED: ReadonlySet<PropertyKey> = new Set([
  'execute',
  'executeDump',
  'callRoutine',
  'begin',
  'transactional',
  'getNativeClient',
]);

type Method = (this: unknown, ...args: unknown[]) => unknown;

/** A connection as its session hands it out. What ends a transaction is not checked: the end of a session does it. */
export class CheckedConnection implements ProxyHandler<Connection> {
  constructor(
    private readonly owner: Owner,
    private readonly checkKysely: (kysely: KyselyLike) => KyselyLike,
  ) {}

  /** Private fields want the connection itself as `this`. */
  get(connection: Connection, key: PropertyKey): unknown {
    const value: unknown = Reflect.get(connection, key);
    if (typeof value !== 'function' || key === 'constructor') {
      return value;
    }
    const method = value as Method;
    if (CHECKED.has(key)) {
      return async (...args: unknown[]) => {
        this.owner.assertUsable();
        return method.apply(connection, args);
      };
    }
    if (key === 'getClient') {
      return () => this.checkKysely(method.call(connection) as KyselyLike);
    }
    if (key === 'stream') {
      return (query: unknown, params: unknown, transaction: unknown, ...rest: unknown[]) => {
        const read = (source: unknown): AsyncIterator<unknown> =>
          method.call(connection, query, params, source, ...rest) as AsyncIterator<unknown>;
        // Kysely gives the rows in chunks, each of which is checked at less cost than each row.
        return transaction === undefined
          ? read(this.checkKysely(this.#clientOf(connection)))
          : this.owner.read(read(transaction), transaction);
      };
    }
    return method.bind(connection);
  }

  #clientOf(connection: Connection): KyselyLike {
    return (connection as unknown as { getClient(): KyselyLike }).getClient();
  }
}
