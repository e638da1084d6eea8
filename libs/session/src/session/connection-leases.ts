import { AsyncLocalStorage } from 'node:async_hooks';

import type { Transaction } from '@mikro-orm/core';

import { type Beginning, Lease, type LeaseOwner } from './pool/lease.js';
import { leaseOf, setLease } from './pool/transaction-lease.js';
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
  readonly #leases = new WeakMap<PoolClient, Lease>();
  readonly #beginnings = new AsyncLocalStorage<Beginning>();

  constructor(private readonly waits: Waits) {}

  follow(pool: Pool): void {
    pool.on('acquire', (client) => {
      this.#leaseOf(client).isOut = true;
    });
    pool.on('release', (_error, client) => {
      this.#leaseOf(client).isOut = false;
    });
    const connect = pool.connect.bind(pool);
    const wait = (): Promise<PoolClient> => (mustWait(pool) ? this.waits(pool, connect()) : connect());
    pool.connect = (...args) => (args.length > 0 ? connect(...args) : this.#checkOut(wait));
  }

  /** Begins a transaction of an EntityManager, or a savepoint in one, and remembers its connection. */
  async begin(owner: LeaseOwner, around: Transaction, begin: () => Promise<Transaction>): Promise<Transaction> {
    const outer = leaseOf(around);
    const beginning: Beginning = { owner, lease: outer };
    const run = (): Promise<Transaction> => this.#beginnings.run(beginning, begin);
    const transaction = await (outer?.asOwner(run) ?? run());
    setLease(transaction, beginning.lease);
    return transaction;
  }

  /** Remembers the connection of a transaction that is being begun, whose begin may fail yet. */
  started(transaction: Transaction): void {
    setLease(transaction, this.#beginnings.getStore()?.lease);
  }

  /** Waits for a connection that nobody has left a transaction open on. */
  async #checkOut(wait: () => Promise<PoolClient>): Promise<PoolClient> {
    let client = await wait();
    while (this.#leaseOf(client).isLeftOpen) {
      client.release(true);
      client = await wait();
    }
    return this.#leaseOf(client).checkOut();
  }

  #leaseOf(client: PoolClient): Lease {
    let lease = this.#leases.get(client);
    if (lease === undefined) {
      lease = new Lease(client, this.#beginnings);
      this.#leases.set(client, lease);
    }
    return lease;
  }
}

/** An idle connection may be promised to somebody who asked for it in the same turn of the event loop. */
function mustWait({ options, idleCount, totalCount, waitingCount }: Pool): boolean {
  return idleCount + options.max - totalCount <= waitingCount;
}
