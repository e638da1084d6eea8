import type { PoolClient } from './pool.js';
import type { Wire } from './wire.js';

/**
 * Whether `sendAhead()` can send statements now. A statement that still runs on the connection would get their answers, and
 * a client that stands for another one must see all statements.
 */
export function canSendAhead(client: PoolClient, statements: readonly string[]): boolean {
  if (statements.length === 0) {
    return true;
  }
  const { parse } = (client.connection ?? {}) as Partial<Wire>;
  return client.readyForQuery === true && client.isStandIn !== true && parse !== undefined;
}

/**
 * Sends statements in the extended protocol, without the message that ends a round trip. The statement with parameters
 * that is sent next, at once, ends it, and gets all answers. If a statement fails, the server skips those after it.
 */
export function sendAhead(client: PoolClient, statements: readonly string[]): void {
  // Seam: pg/submittable
  const wire = client.connection as unknown as Wire;
  for (const text of statements) {
    wire.parse({ text });
    wire.bind({ portal: '', values: [] });
    wire.describe({ type: 'P', name: '' });
    wire.execute({ portal: '', rows: 0 });
  }
}
