import type { Pool, PoolClient } from './pool.js';

const ANSWER_MS = 2_000;

/**
 * Asks the server something on a separate connection, beside the pool.
 *
 * @returns `unreachable` when the connection got no answer, `silence` when the question got no answer, and `undefined`
 * when the server refused the connection or the question
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
    // An error of the server: the network works.
    client.connection?.stream?.destroy();
    const silence = isConnected ? 'silence' : 'unreachable';
    return isLate ? silence : undefined;
  } finally {
    clearTimeout(timer);
  }
}
