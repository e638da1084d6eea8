import type { MikroORM } from '@mikro-orm/core';

import { getPool } from '../session/watch-pools.js';

export const DEFAULT_CONCURRENCY = 4;

/** Asks the pool of the connection for its size, which driver options may have set beside MikroORM's own. */
export async function getPoolSize({ config, driver }: MikroORM): Promise<number> {
  const pool = await getPool(driver.getConnection('write'));
  return pool?.options.max ?? config.get('pool')?.max ?? DEFAULT_CONCURRENCY;
}

/** Gives the number of jobs to run at once: as asked for, but not above the size of the pool. */
export async function getConcurrency(orm: MikroORM, wanted: number = DEFAULT_CONCURRENCY): Promise<number> {
  return Math.min(wanted, await getPoolSize(orm));
}
