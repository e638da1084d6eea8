import type { Connection } from '@mikro-orm/core';

import { type DriverOptions, isPool, type Pool } from './pool.js';

const POOL = Symbol('pool');

/** The members of a connection to PostgreSQL that are used here. MikroORM 7.1 does not return its pool. */
interface PooledConnection {
  getNativeClient?(): Promise<unknown>;
  ensureConnection?(): Promise<void>;
  createKyselyDialect?(options: DriverOptions): unknown;
  [POOL]?: unknown;
}

/** Returns the pool of a connection. Undefined for drivers other than PostgreSQL's. */
export async function getPool(connection: Connection): Promise<Pool | undefined> {
  const pooled = connection as unknown as PooledConnection;
  // Seam: mikro-orm/pool
  if (pooled.getNativeClient === undefined) {
    await pooled.ensureConnection?.();
  }
  const client = (await pooled.getNativeClient?.()) ?? pooled[POOL];
  return isPool(client) ? client : undefined;
}

/** Makes `getPool` find the pool of a connection of MikroORM 7.1. */
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
