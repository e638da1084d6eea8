import { MikroORM, type Options } from '@mikro-orm/core';

import { getPool, rememberPool } from '../../session/pool/get-pool.js';
import type { Pool, PoolClient } from '../../session/pool/pool.js';

type Rows = readonly Readonly<Record<string, unknown>>[];

/** Runs statements on a server, outside of transactions. */
export class ServerConnection implements AsyncDisposable {
  private constructor(
    private readonly orm: MikroORM,
    private readonly pool: Pool,
  ) {}

  static async open(options: Partial<Options>): Promise<ServerConnection> {
    const orm = await MikroORM.init({
      ...options,
      entities: [],
      discovery: { warnWhenNoEntities: false },
      // One connection holds the lock, the other works in the meantime.
      pool: { min: 0, max: 2 },
      logger: () => undefined,
    });
    const connection = orm.driver.getConnection('write');
    rememberPool(connection);
    return new ServerConnection(orm, (await getPool(connection)) as Pool);
  }

  async query(sql: string, values: readonly unknown[] = []): Promise<Rows> {
    const client = await this.pool.connect();
    try {
      return await ask(client, sql, values);
    } finally {
      client.release();
    }
  }

  /** Runs `work` while no other process, on any machine, runs work under this name. */
  async inTurn<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
    const client = await this.pool.connect();
    try {
      await ask(client, 'begin');
      await ask(client, 'set local idle_in_transaction_session_timeout = 0');
      await ask(client, 'select pg_advisory_xact_lock(hashtextextended($1, 0))', [name]);
      return await work();
    } finally {
      // Ends the connection, and with it the lock.
      client.release(true);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.orm.close(true);
  }
}

async function ask(client: PoolClient, sql: string, values?: readonly unknown[]): Promise<Rows> {
  const { rows } = (await client.query(sql, values)) as { readonly rows: Rows };
  return rows;
}
