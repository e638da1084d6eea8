import type { Connection, EntityManager } from '@mikro-orm/core';

import { type BuilderLike, checkBuilder } from './check-builder.js';
import { CheckedConnection } from './checked-connection.js';
import { checkKysely, type KyselyLike } from './check-kysely.js';
import type { Owner } from './owner.js';

/** Makes the objects that one session hands out. They check when they are executed that the session may be used. */
export class HandedOut {
  readonly #connections = new Map<Connection, Connection>();
  readonly #kyselies = new WeakMap<KyselyLike, KyselyLike>();
  readonly #handler: CheckedConnection;

  constructor(private readonly owner: Owner) {
    this.#handler = new CheckedConnection(owner, (kysely) => this.kysely(kysely));
  }

  builder(builder: BuilderLike, em: EntityManager): BuilderLike {
    return checkBuilder(builder, {
      em,
      owner: this.owner,
      checkConnection: (connection) => this.connection(connection),
    });
  }

  /**
   * @param transaction the open transaction. `kysely` may be a copy of it with one more plugin. Kysely's copies of a
   * transaction do not know when it has ended: they would go on to write, outside of it
   */
  kysely(kysely: KyselyLike, transaction?: KyselyLike): KyselyLike {
    if (transaction !== undefined && kysely !== transaction) {
      return this.kysely(transaction).withPlugin(kysely.getExecutor().plugins.at(-1));
    }
    let checked = this.#kyselies.get(kysely);
    if (checked === undefined) {
      checked = checkKysely(kysely, this.owner);
      this.#kyselies.set(kysely, checked);
    }
    return checked;
  }

  connection(connection: Connection): Connection {
    let checked = this.#connections.get(connection);
    if (checked === undefined) {
      checked = new Proxy(connection, this.#handler);
      this.#connections.set(connection, checked);
    }
    return checked;
  }
}
