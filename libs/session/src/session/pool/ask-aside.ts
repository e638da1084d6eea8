import type { Pool, PoolClient } from './pool.js';

const ANSWER_MS = 2_000;

/**
 * Asks the server something on a connection of its own, beside the pool.
 *
 * @returns `unreachable` when nothing came back to the connection, `silence` when nothing came back to the question, and
 * `undefined` when the server would not say. To be refused is an answer.
 */
export async function askAside<Answer>(
  { options, Client }: Pool,
  ask: (client: PoolClient) => Promise<Answer>,
): Promise<Answer | 'unreachable' | 'silence' | undefined> {
  if (Client === undefined) {
    return undefined;
  }
  // Seam: pg/pool-client
  const client = new Client(options);
  client.on('error', () => undefined);
  let isLate = false;
  let isConnected = false;
  const timer = setTimeout(() => {
    isLate = true;
    client.connection?.stream?.destroy();
  }, ANSWER_MS);
  try {
    await client.connect();
    isConnected = true;
    const answer = await ask(client);
    await client.end();
    return answer;
  } catch {
    // It tells of the server, not of the network.
    client.connection?.stream?.destroy();
    const silence = isConnected ? 'silence' : 'unreachable';
    return isLate ? silence : undefined;
  } finally {
    clearTimeout(timer);
  }
}
