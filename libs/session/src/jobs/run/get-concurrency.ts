import type { MikroORM } from '@mikro-orm/core';

import { findKnowledge } from '../../session/drivers/find-knowledge.js';
import { getPool } from '../../session/pool/get-pool.js';

export const DEFAULT_CONCURRENCY = 4;

/**
 * Returns the size of the pool, from MikroORM's options or from the driver options. Does not wait for a connection to
 * the database: if the database cannot be reached, each job fails by itself.
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
 * Returns the number of jobs to run at once. A wanted number is taken as it is, even above the size of the pool: a job
 * waits for a connection only at its first statement.
 */
export async function getConcurrency(orm: MikroORM, wanted: number | undefined): Promise<number> {
  return wanted ?? Math.min(DEFAULT_CONCURRENCY, await getPoolSize(orm));
}
