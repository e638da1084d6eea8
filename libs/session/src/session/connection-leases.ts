import { closeWithConnection, isCursor } from './cursor-end.js';
import { TransactionAbortedError } from './session-error.js';
import type { Pool, PoolClient } from './watch-pools.js';

const IS_OUT = Symbol('checked out');
const IS_OVER = Symbol('ended');

/** A connection of a pool that is followed: none of its own before it is checked out for the first time. */
type Leased = PoolClient & { [IS_OUT]?: boolean; [IS_OVER]?: boolean };

/** Decides whether a wait for a connection may begin: throws, or rejects later, where it could never end. */
export type Waits = (pool: Pool, client: Promise<PoolClient>) => Promise<PoolClient>;

/**
 * Follows the connections that are checked out of a pool.
 *
 * A connection that breaks within a transaction is never given back by MikroORM, whose rollback fails on it: with every
 * restart of the database the pool would shrink, until it hangs for ever. Here it is given back when it breaks.
 */
export class ConnectionLeases {
  constructor(private readonly waits: Waits) {}

  follow(pool: Pool): void {
    pool.on('acquire', (client) => this.#take(client));
    pool.on('release', (_error, client: Leased) => {
      client[IS_OUT] = false;
    });
    const connect = pool.connect.bind(pool);
    pool.connect = (...args) =>
      args.length > 0 || !mustWait(pool) ? connect(...args) : this.waits(pool, connect(...args));
  }

  #take(client: Leased): void {
    if (client[IS_OUT] === undefined) {
      client.once('end', () => {
        client[IS_OVER] = true;
        giveBack(client);
      });
      watchQueries(client);
    }
    client[IS_OUT] = true;
  }
}

/** Gives back a connection that broke while it was checked out. Who holds it may do so once more. */
function giveBack(client: Leased): void {
  if (client[IS_OUT] === true) {
    const { release } = client;
    client.release = () => undefined;
    release(true);
  }
}

/** Reads the answer to COMMIT, which is ROLLBACK when a statement of the transaction had failed. Lets no cursor hang. */
function watchQueries(client: Leased): void {
  const query = client.query.bind(client);
  client.query = (text, values, callback) => {
    if (isCursor(text)) {
      closeWithConnection(text, client, () => client[IS_OVER] === true);
    }
    const answer = query(text, values, callback);
    return text === 'commit' ? (answer as Promise<{ command: string }>).then(assertCommitted) : answer;
  };
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
