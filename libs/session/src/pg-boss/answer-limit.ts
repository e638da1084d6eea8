import type { PgBoss } from 'pg-boss';

import type { Pool, PoolClient } from '../session/watch-pools.js';

interface LimitedClient extends PoolClient {
  readonly connectionParameters?: { query_timeout?: number | false };
}

/** The connections of a pg-boss that was given no database of another kind. */
export function findOwnPool(boss: PgBoss): Pool | undefined {
  return (boss.getDb() as { readonly pool?: Pool }).pool;
}

/** Limits how long a pg-boss that has started waits for the answer to a statement. */
export function limitAnswers(boss: PgBoss, milliseconds: number): void {
  // Seam: pg-boss/pool
  findOwnPool(boss)?.on('acquire', ({ connectionParameters }: LimitedClient) => {
    if (connectionParameters !== undefined) {
      connectionParameters.query_timeout = milliseconds;
    }
  });
}
