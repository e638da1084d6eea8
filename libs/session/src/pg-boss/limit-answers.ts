import type { PgBoss } from 'pg-boss';

import type { Pool, PoolClient } from '../session/pool/pool.js';

interface LimitedClient extends PoolClient {
  readonly connectionParameters?: { query_timeout?: number | false };
}

/** Returns the pool of pg-boss. Undefined where it uses a `db` of the user. */
export function findOwnPool(boss: PgBoss): Pool | undefined {
  return (boss.getDb() as { readonly pool?: Pool }).pool;
}

/** Limits the time that a started pg-boss waits for the answer to a statement. */
export function limitAnswers(boss: PgBoss, milliseconds: number): void {
  // Seam: pg-boss/pool
  const { config } = boss.getDb() as { readonly config?: { query_timeout?: number } };
  if (config !== undefined) {
    // The listener uses this config for its next connection. Without a limit, it could wait for the answer to LISTEN
    // for ever.
    config.query_timeout = milliseconds;
  }
  findOwnPool(boss)?.on('acquire', ({ connectionParameters }: LimitedClient) => {
    if (connectionParameters !== undefined) {
      connectionParameters.query_timeout = milliseconds;
    }
  });
}
