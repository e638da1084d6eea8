import { findForgotten } from '../session/pool/find-forgotten.js';
import type { Pool, PoolClient } from '../session/pool/watch-pools.js';

interface Asking {
  readonly client: PoolClient;
  readonly bytesRead: number | undefined;
}

/**
 * Ends the connections of a pool whose answer the network has lost.
 *
 * @returns whether the server does not answer at all
 */
export async function endForgotten(pool: Pool): Promise<boolean> {
  const asking = [...(pool._clients ?? [])].filter(isAsking).map((client) => ({ client, bytesRead: readBy(client) }));
  const { isUnreachable, connections } = await findForgotten<Asking>(pool, asking);
  connections
    .filter(({ client, bytesRead }) => isAsking(client) && readBy(client) === bytesRead)
    .forEach(({ client }) => client.connection?.stream?.destroy());
  return isUnreachable;
}

function isAsking(client: PoolClient): boolean {
  // Seam: pg/client
  return client.readyForQuery === false;
}

function readBy({ connection }: PoolClient): number | undefined {
  return connection?.stream?.bytesRead;
}
