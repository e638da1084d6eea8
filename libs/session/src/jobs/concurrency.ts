import type { MikroORM } from '@mikro-orm/core';

import { getPool } from '../session/watch-pools.js';

export const DEFAULT_CONCURRENCY = 4;

/**
 * Returns the size of the pool, which driver options may have set beside MikroORM's own. Where nothing has connected yet
 * it does not wait for the database: whether that can be reached is for each job to find out.
 */
export async function getPoolSize({ config, driver }: MikroORM): Promise<number> {
  const connection = driver.getConnection('write');
  const driverOptions: unknown = config.get('driverOptions');
  // Seam: mikro-orm/pool
  const { connected } = connection as unknown as { readonly connected: boolean };
  const max =
    connected || typeof driverOptions === 'function'
      ? (await getPool(connection))?.options.max
      : (driverOptions as { readonly max?: number } | undefined)?.max;
  return max ?? config.get('pool')?.max ?? DEFAULT_CONCURRENCY;
}

/** Gives the number of jobs to run at once: as asked for, but not above the size of the pool. */
export async function getConcurrency(orm: MikroORM, wanted: number = DEFAULT_CONCURRENCY): Promise<number> {
  return Math.min(wanted, await getPoolSize(orm));
}
