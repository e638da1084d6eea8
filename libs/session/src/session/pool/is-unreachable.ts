import type { Pool } from '../watch-pools.js';

const ANSWER_MS = 2_000;

/** Whether the server does not even answer to a new connection. To be refused is an answer. */
export async function isUnreachable({ options, Client }: Pool): Promise<boolean> {
  if (Client === undefined) {
    return false;
  }
  const client = new Client(options);
  client.on('error', () => undefined);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    client.connection?.stream?.destroy();
  }, ANSWER_MS);
  try {
    await client.connect();
    await client.end();
  } catch {
    // It tells of the server, not of the network.
  } finally {
    clearTimeout(timer);
  }
  return isLate;
}
