import type { Connection } from '@mikro-orm/core';

import type { KyselyLike } from './check-kysely.js';
import type { Owner } from './owner.js';

/** The methods of MikroORM's connections that send statements, begin a transaction, or return an object that does. */
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

/**
 * A connection as its session hands it out. The methods that end a transaction are not checked: the end of a session
 * calls them.
 */
export class CheckedConnection implements ProxyHandler<Connection> {
  constructor(
    private readonly owner: Owner,
    private readonly checkKysely: (kysely: KyselyLike) => KyselyLike,
  ) {}

  /** Private fields need the connection itself as `this`. */
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
        // Kysely returns the rows in chunks. A check per chunk costs less than a check per row.
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
