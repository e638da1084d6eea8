import type { Pool } from './pool.js';

/**
 * Gives each connection that is made with the class of a pool a listener for its errors. Kysely cancels a statement on
 * a connection of its own and listens to nothing there: the loss of that connection would end the process. Who uses a
 * connection still gets the error.
 */
export function hearErrors(pool: Pool): void {
  const { Client } = pool;
  if (Client !== undefined) {
    // Seam: pg/pool-client
    pool.Client = class extends Client {
      constructor(options: unknown) {
        super(options);
        this.on('error', () => undefined);
      }
    };
  }
}
