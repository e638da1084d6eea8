import type { Client } from 'pg';

import { findRunningPostgres, hasRunningPostgres } from './running-postgres.js';
import { createClient, joinUsers } from './join-users.js';

export interface JoinedPostgres {
  /** Connection URL of the database `postgres`. */
  readonly url: string;
  leave(): Promise<void>;
}

/**
 * Joins the embedded server that a keeper runs in a folder. Returns undefined where there is none. A shared server does
 * not stop before all have left.
 */
export async function joinPostgres(folder: string): Promise<JoinedPostgres | undefined> {
  if (!hasRunningPostgres(folder)) {
    return undefined;
  }
  const { url } = findRunningPostgres(folder);
  const client = createClient(url);
  if (await canUse(client)) {
    return { url, leave: () => client.end() };
  }
  await client.end();
  return undefined;
}

async function canUse(client: Client): Promise<boolean> {
  try {
    await client.connect();
    return await joinUsers(client);
  } catch {
    // The server is stopping. A start of a new server waits for that, or reports why it cannot.
    return false;
  }
}
