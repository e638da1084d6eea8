import type { Pool, PoolClient } from './watch-pools.js';

/**
 * Follows the connections that are checked out of a pool.
 *
 * A connection that breaks within a transaction is never given back by MikroORM, whose rollback fails on it: with every
 * restart of the database the pool would shrink, until it hangs for ever. Here it is given back when it breaks.
 */
export class ConnectionLeases {
  follow(pool: Pool): void {
    const connect = pool.connect.bind(pool);
    pool.connect = async (...args) => {
      if (args.length > 0) {
        return connect(...args);
      }
      return this.#lease(await connect());
    };
  }

  #lease(client: PoolClient): PoolClient {
    const giveBack = client.release;
    let isOut = true;
    const release = (error?: Error | boolean): void => {
      if (isOut) {
        isOut = false;
        client.off('end', onBroken);
        giveBack(error);
      }
    };
    const onBroken = (): void => release(true);
    client.once('end', onBroken);
    client.release = release;
    return client;
  }
}
