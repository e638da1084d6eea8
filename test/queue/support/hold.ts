import { Client } from 'pg';

import type { TestDatabase } from '../../support/test-database.js';
import { HOLD } from './worker-app/effect-handler.js';

/** Holds the jobs that wait for a lock, until it is released. */
export class Hold {
  readonly #client: Client;

  private constructor(client: Client) {
    this.#client = client;
  }

  static async take(url: string, lock = HOLD): Promise<Hold> {
    const client = new Client(url);
    // The test may take the server away.
    client.on('error', () => undefined);
    await client.connect();
    await client.query('select pg_advisory_lock($1)', [lock]);
    return new Hold(client);
  }

  release(): Promise<void> {
    return this.#client.end();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}

/** Waits until a job is held, and gives the name of the worker that runs it. */
export async function untilHeld(database: Pick<TestDatabase, 'query' | 'until'>, lock = HOLD): Promise<string> {
  const held = `from pg_locks join pg_stat_activity using (pid)
    where datname = current_database() and locktype = 'advisory' and objid = $1 and not granted`;
  await database.until(`select count(*) > 0 ${held}`, [lock]);
  const [row] = await database.query<{ name: string }>(`select application_name as name ${held}`, [lock]);
  return row?.name ?? '';
}
