import type { Connection } from '@mikro-orm/core';

import type { KyselyConnection } from '../kysely-driver.js';
import type { NativeLink, NativeLinks, OpenedLink } from '../native-link.js';

/** The members of a database of better-sqlite3 or libsql that are used here. */
interface Database {
  readonly inTransaction?: boolean;
}

/** The only connection of SQLite. It stays open, because a database in memory would be lost with it. */
export class SqliteLinks implements NativeLinks {
  readonly limit = 1;
  readonly #source: { readonly database?: Database };

  constructor(source: Connection) {
    // Seam: mikro-orm/sqlite-database
    this.#source = source as { readonly database?: Database };
  }

  get size(): number {
    return this.#source.database === undefined ? 0 : 1;
  }

  async open(connect: () => Promise<KyselyConnection>): Promise<OpenedLink> {
    return { connection: await connect(), link: this.#createLink() };
  }

  destroyAll(): void {
    // No statement can be running here: the statements of SQLite block the process.
  }

  #createLink(): NativeLink {
    const source = this.#source;
    return {
      get isInTransaction() {
        return source.database?.inTransaction;
      },
      processId: undefined,
      onEnd: undefined,
      destroy(_reason, connection, closed) {
        const rollBack = (): void => {
          if (this.isInTransaction !== false) {
            // The rollback is done when this returns. It fails where no transaction was open.
            connection.executeQuery({ sql: 'rollback', parameters: [] }).catch(() => undefined);
          }
        };
        if (closed === undefined) {
          rollBack();
        }
        return closed?.then(rollBack);
      },
    };
  }
}
