import type { Connection } from '@mikro-orm/core';

import { type DriverOptions, isPool, type Pool } from './pool.js';

const POOL = Symbol('pool');

/** What is known of a connection to PostgreSQL. That of MikroORM 7.1 hands its pool to nobody. */
interface PooledConnection {
  getNativeClient?(): Promise<unknown>;
  ensureConnection?(): Promise<void>;
  createKyselyDialect?(options: DriverOptions): unknown;
  [POOL]?: unknown;
}

/** Asks a connection for its pool. Other drivers than PostgreSQL's have none that we know. */
export async function getPool(connection: Connection): Promise<Pool | undefined> {
  const pooled = connection as unknown as PooledConnection;
  // Seam: mikro-orm/pool
  if (pooled.getNativeClient === undefined) {
    await pooled.ensureConnection?.();
  }
  const client = (await pooled.getNativeClient?.()) ?? pooled[POOL];
  return isPool(client) ? client : undefined;
}

/** Lets `getPool` find the pool of a connection that does not hand it out. */
export function rememberPool(connection: Connection): void {
  const pooled = connection as unknown as PooledConnection;
  const { createKyselyDialect } = pooled;
  if (pooled.getNativeClient !== undefined || createKyselyDialect === undefined) {
    return;
  }
  // Seam: mikro-orm/pool
  pooled.createKyselyDialect = (options) => {
    const onPoolCreated = (pool: unknown): unknown => {
      pooled[POOL] = pool;
      return options.onPoolCreated?.(pool);
    };
    return createKyselyDialect.call(pooled, { ...options, onPoolCreated });
  };
}
