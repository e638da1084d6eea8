import type { MikroORM } from '@mikro-orm/core';

import { findKnowledge } from '../../session/drivers/find-knowledge.js';
import type { Pool } from '../../session/pool/pool.js';
import { watchPools } from '../../session/pool/watch-pools.js';
import { readThreadEnvironment, shareOf } from './thread-environment.js';

/**
 * In a worker thread, limits the pools of a connection to the share of the thread. All threads together have as many
 * connections as the pool of the main application.
 */
export async function limitToShare(orm: MikroORM, sourceToken: string | undefined): Promise<void> {
  const environment = readThreadEnvironment();
  if (environment === undefined) {
    return;
  }
  const { threads, connections } = environment;
  const isOfJobs = environment.sourceToken === sourceToken;
  const shareIn = (max: number): number =>
    isOfJobs ? Math.min(max, shareOf(connections, threads)) : shareOf(max, threads);
  const knowledge = findKnowledge(orm);
  if (knowledge !== undefined) {
    knowledge.limitTo(orm.config, shareIn(knowledge.limitOf(orm.config)));
    return;
  }
  await watchPools(orm, ({ options }: Pool) => {
    const share = shareIn(options.max);
    options.max = share;
    options.min = Math.min(options.min ?? 0, share);
  });
}
