import { Client } from 'pg';

import { findRunningPostgres, hasRunningPostgres } from './running-postgres.js';

export interface JoinedPostgres {
  /** Connection URL of the database `postgres`. */
  readonly url: string;
  leave(): Promise<void>;
}

/**
 * Joins the embedded server that a keeper runs in a folder, if one does: one that is shared does not end before all have
 * left.
 */
export async function joinPostgres(folder: string): Promise<JoinedPostgres | undefined> {
  if (!hasRunningPostgres(folder)) {
    return undefined;
  }
  const { url } = findRunningPostgres(folder);
  const client = new Client(url);
  client.on('error', () => undefined);
  if (await canUse(client)) {
    return { url, leave: () => client.end() };
  }
  await client.end();
  return undefined;
}

/** The keeper takes the lock alone before it ends the server. */
async function canUse(client: Client): Promise<boolean> {
  try {
    await client.connect();
    const { rows } = await client.query<{ can: boolean }>(
      `select pg_try_advisory_lock_shared(hashtext('users of the embedded server')) as can`,
    );
    return rows[0]?.can === true;
  } catch {
    // It is ending: who starts one then waits for that, or says why not.
    return false;
  }
}
