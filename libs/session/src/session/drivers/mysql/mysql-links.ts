import { AsyncLocalStorage } from 'node:async_hooks';

import type { Connection } from '@mikro-orm/core';

import { checkSeam, type Seam } from '../../assert-seam.js';
import type { KyselyConnection } from '../kysely-driver.js';
import type { NativeLink, NativeLinks, OpenedLink } from '../native-link.js';
import { FollowedClient, type MysqlClient, type MysqlPool } from './mysql-client.js';

const LOSS = 'Lost connections are not seen, and time-outs end no statement';
const POOL: Seam = { seam: 'mysql2/pool', of: 'mysql2', via: '@mikro-orm/mysql', loss: LOSS };
const CLIENT: Seam = { seam: 'mysql2/client', of: 'mysql2', via: '@mikro-orm/mysql', loss: LOSS };

/** Replaces the link of a connection that cannot be followed. */
const UNKNOWN: NativeLink = {
  isInTransaction: undefined,
  processId: undefined,
  onEnd: undefined,
  destroy(_reason, connection) {
    // It ends the connection here at once. Then it would wait for another one, to end it on the server too.
    connection.killSession?.(async () => undefined).catch(() => undefined);
    return undefined;
  },
};

/** Finds the connection of mysql2 behind each connection of Kysely. */
export class MysqlLinks implements NativeLinks {
  readonly #source: Connection & { getNativeClient?(): Promise<unknown> };
  readonly #clients = new Map<MysqlClient, FollowedClient>();
  readonly #arriving = new AsyncLocalStorage<{ link?: FollowedClient }>();
  readonly #limitOf: () => number;
  #pool: MysqlPool | undefined;
  #search: Promise<void> | undefined;

  constructor(source: Connection, limitOf: () => number) {
    this.#source = source;
    this.#limitOf = limitOf;
  }

  /** For mysql2, 0 means no limit. */
  get limit(): number {
    return (this.#pool?.config.connectionLimit ?? this.#limitOf()) || Infinity;
  }

  get size(): number {
    return this.#clients.size;
  }

  async open(connect: () => Promise<KyselyConnection>): Promise<OpenedLink> {
    await this.#seekPool();
    const arriving: { link?: FollowedClient } = {};
    try {
      const connection = await this.#arriving.run(arriving, connect);
      return { connection, link: arriving.link ?? { ...UNKNOWN } };
    } catch (error) {
      // mysql2 writes to the error, which may be anything that a hook has thrown.
      arriving.link?.destroy(new Error('a hook could not set it up', { cause: error }));
      throw error;
    }
  }

  destroyAll(reason: Error): void {
    this.#clients.forEach((client) => client.destroy(reason));
  }

  /** Seeks the pool when MikroORM is connected: it exists then. */
  async #seekPool(): Promise<void> {
    // Seam: mikro-orm/pool
    const { connected } = this.#source as unknown as { readonly connected: boolean };
    if (connected) {
      this.#search ??= this.#findPool();
    }
    await this.#search;
  }

  /** Finds the pool, unless the user has given a dialect, or the version of MikroORM does not tell it. */
  async #findPool(): Promise<void> {
    const pool = (await this.#source.getNativeClient?.().catch(() => undefined)) as MysqlPool | undefined;
    if (pool === undefined || !checkSeam(pool, ['getConnection', 'config'], POOL)) {
      return;
    }
    this.#pool = pool;
    // Seam: mysql2/pool
    const getConnection = pool.getConnection.bind(pool);
    pool.getConnection = (callback) => {
      const arriving = this.#arriving.getStore();
      getConnection((error, client) => {
        if (arriving !== undefined && client !== undefined) {
          arriving.link = this.#follow(client);
        }
        callback(error, client);
      });
    };
  }

  #follow(client: MysqlClient): FollowedClient {
    let followed = this.#clients.get(client);
    if (followed === undefined) {
      checkSeam(client, ['query', 'destroy', 'on', 'once', 'stream'], CLIENT);
      followed = new FollowedClient(client, () => this.#clients.delete(client));
      this.#clients.set(client, followed);
    }
    return followed;
  }
}
