import { findForgotten } from '../session/pool/find-forgotten.js';
import type { Pool, PoolClient } from '../session/pool/pool.js';

/** A connection that waits for an answer. */
interface Asking {
  readonly client: PoolClient;
  readonly bytesRead: number | undefined;
}

/** Finds the connections of a pool that wait for an answer now. */
export function findAsking(pool: Pool): readonly Asking[] {
  return [...(pool._clients ?? [])].filter(isAsking).map((client) => ({ client, bytesRead: readBy(client) }));
}

/**
 * Whether a connection has received nothing since then. A connection that was answered and has sent another statement
 * is not silent.
 */
export function isSilent({ client, bytesRead }: Asking): boolean {
  return isAsking(client) && readBy(client) === bytesRead;
}

/**
 * Ends the connections of a pool whose answer the network has lost.
 *
 * @returns whether the server does not answer at all
 */
export async function endForgotten(pool: Pool, asking = findAsking(pool)): Promise<boolean> {
  const { server, connections } = await findForgotten<Asking>(pool, asking);
  connections.filter(isSilent).forEach(({ client }) => client.connection?.stream?.destroy());
  return server !== 'answers';
}

function isAsking(client: PoolClient): boolean {
  // Seam: pg/client
  return client.readyForQuery === false;
}

function readBy({ connection }: PoolClient): number | undefined {
  return connection?.stream?.bytesRead;
}
