import { Client } from 'pg';

/**
 * The lock of a shared server. All users hold it as a shared lock. The keeper takes it exclusively to stop the server.
 */
const LOCK = `hashtext('users of the embedded server')`;

/** Makes a client for a shared server. A lost connection is not an error here. */
export function createClient(url: string): Client {
  const client = new Client(url);
  client.on('error', () => undefined);
  return client;
}

/**
 * Makes the owner of a connection a user of the server, until the connection is closed. Returns `false` where the
 * server is about to stop.
 */
export async function joinUsers(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ is: boolean }>(`select pg_try_advisory_lock_shared(${LOCK}) as is`);
  return rows[0]?.is === true;
}

/**
 * Returns whether nobody uses the server. If so, nobody can join any more: the lock is held until the connection is
 * closed.
 */
export async function isUnused(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ is: boolean }>(`select pg_try_advisory_lock(${LOCK}) as is`);
  return rows[0]?.is === true;
}
