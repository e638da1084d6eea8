import type { Pool } from './pool.js';

/** How long a connection that is given up may still answer. */
export const GRACE_MS = 800;
/** How long the connections of a pool that is closed may still be used. */
export const CLOSING_MS = 3_000;
const CONNECT_MS = 10_000;
const KEEP_ALIVE_AFTER_MS = 10_000;

/**
 * Sets what a user has not said of a dead network: the driver would wait for ever.
 *
 * @returns the milliseconds that a wait for a connection may take, where the user has said so
 */
export function setDefaults({ options }: Pool): number | undefined {
  // Seam: pg/pool
  const patience = options.connectionTimeoutMillis;
  options.keepAlive ??= true;
  options.keepAliveInitialDelayMillis ??= KEEP_ALIVE_AFTER_MS;
  options.connectionTimeoutMillis ??= CONNECT_MS;
  return patience === 0 ? undefined : patience;
}
