import type { MikroORM } from '@mikro-orm/core';

import { findKnowledge } from '../../session/drivers/find-knowledge.js';
import { getPool } from '../../session/pool/get-pool.js';

export const DEFAULT_CONCURRENCY = 4;

/**
 * Returns the size of the pool, which driver options may have set beside MikroORM's own. Where nothing has connected yet
 * it does not wait for the database: whether that can be reached is for each job to find out.
 */
export async function getPoolSize({ config, driver }: MikroORM): Promise<number> {
  const knowledge = findKnowledge({ driver });
  if (knowledge !== undefined) {
    return knowledge.limitOf(config);
  }
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

/**
 * Returns the number of jobs to run at once: as asked for. A job waits for a connection at its first statement, so that
 * jobs which wait for something else may be more than the pool has connections.
 */
export async function getConcurrency(orm: MikroORM, wanted: number | undefined): Promise<number> {
  return wanted ?? Math.min(DEFAULT_CONCURRENCY, await getPoolSize(orm));
}
