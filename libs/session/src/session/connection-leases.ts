import { TransactionAbortedError } from './session-error.js';
import type { Pool, PoolClient } from './watch-pools.js';

/** Decides whether a wait for a connection may begin: throws, or rejects later, where it could never end. */
export type Waits = (pool: Pool, client: Promise<PoolClient>) => Promise<PoolClient>;

/**
 * Follows the connections that are checked out of a pool.
 *
 * A connection that breaks within a transaction is never given back by MikroORM, whose rollback fails on it: with every
 * restart of the database the pool would shrink, until it hangs for ever. Here it is given back when it breaks.
 */
export class ConnectionLeases {
  readonly #known = new WeakSet<PoolClient>();

  constructor(private readonly waits: Waits) {}

  follow(pool: Pool): void {
    const connect = pool.connect.bind(pool);
    pool.connect = async (...args) => {
      if (args.length > 0) {
        return connect(...args);
      }
      return this.#lease(await (mustWait(pool) ? this.waits(pool, connect()) : connect()));
    };
  }

  #lease(client: PoolClient): PoolClient {
    this.#watchCommits(client);
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

  /** Reads the answer to COMMIT, which is ROLLBACK when a statement of the transaction had failed. */
  #watchCommits(client: PoolClient): void {
    if (this.#known.has(client)) {
      return;
    }
    this.#known.add(client);
    const query = client.query.bind(client);
    client.query = (text, values, callback) => {
      const answer = query(text, values, callback);
      return text === 'commit' ? (answer as Promise<{ command: string }>).then(assertCommitted) : answer;
    };
  }
}

/** An idle connection may be promised to somebody who asked for it in the same turn of the event loop. */
function mustWait({ options, idleCount, totalCount, waitingCount }: Pool): boolean {
  return idleCount + options.max - totalCount <= waitingCount;
}

function assertCommitted<Result extends { readonly command: string }>(result: Result): Result {
  if (result.command === 'ROLLBACK') {
    throw new TransactionAbortedError();
  }
  return result;
}
