import { Client } from 'pg';

/** Each user of a shared server has the lock together with the others, and who ends the server has it alone. */
const LOCK = `hashtext('users of the embedded server')`;

/** Opens a connection to a shared server, whose loss is no error: it says in time that there are no users. */
export function createClient(url: string): Client {
  const client = new Client(url);
  client.on('error', () => undefined);
  return client;
}

/** Makes the owner of a connection a user, as long as that is open. Gives `false` where the server is about to end. */
export async function joinUsers(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ is: boolean }>(`select pg_try_advisory_lock_shared(${LOCK}) as is`);
  return rows[0]?.is === true;
}

/** Whether nobody uses the server. From then on nobody can join: the lock is kept as long as the connection is open. */
export async function isUnused(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ is: boolean }>(`select pg_try_advisory_lock(${LOCK}) as is`);
  return rows[0]?.is === true;
}
