import type { PgBoss } from 'pg-boss';

import type { Pool, PoolClient } from '../session/pool/pool.js';

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
  const { config } = boss.getDb() as { readonly config?: { query_timeout?: number } };
  if (config !== undefined) {
    // The listener makes its next connection with it, and would wait for the answer to LISTEN for ever.
    config.query_timeout = milliseconds;
  }
  findOwnPool(boss)?.on('acquire', ({ connectionParameters }: LimitedClient) => {
    if (connectionParameters !== undefined) {
      connectionParameters.query_timeout = milliseconds;
    }
  });
}
