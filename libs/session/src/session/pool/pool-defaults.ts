import type { Pool } from './pool.js';

/** Milliseconds that a connection may still answer before it is given up. */
export const GRACE_MS = 800;
/** Milliseconds that the connections of a closed pool may still be used. */
export const CLOSING_MS = 3_000;
const CONNECT_MS = 10_000;
const KEEP_ALIVE_AFTER_MS = 10_000;

/**
 * Sets options against a dead network that the user has not set. Without them, the driver would wait for ever.
 *
 * @returns the milliseconds that a wait for a connection may take, if the user has set them
 */
export function setDefaults({ options }: Pool): number | undefined {
  // Seam: pg/pool
  const patience = options.connectionTimeoutMillis;
  options.keepAlive ??= true;
  options.keepAliveInitialDelayMillis ??= KEEP_ALIVE_AFTER_MS;
  options.connectionTimeoutMillis ??= CONNECT_MS;
  return patience === 0 ? undefined : patience;
}
