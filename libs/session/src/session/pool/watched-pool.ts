import { AnswerWatch } from './answer-watch.js';
import type { BegunTransaction, LeaseOwner } from './begun-transaction.js';
import type { LeaseWait } from './connection-opening.js';
import type { Observed } from './connection-observer.js';
import { ConnectionQueue, type ConnectionWait } from './connection-queue.js';
import { hearErrors } from './hear-errors.js';
import type { Lease } from './lease.js';
import type { Pool, PoolClient } from './pool.js';
import type { Waits } from './pool-deadlock.js';
import { CLOSING_MS, setDefaults } from './pool-defaults.js';
import type { PoolFacts } from './pool-facts.js';

export interface WatchedPoolOptions {
  readonly observed: Observed;
  readonly waits: Waits;
  /** Makes the lease of a connection of the pool. */
  readonly createLease: (client: PoolClient) => Lease;
  /** Called with each connection that is handed out. */
  readonly checkClient: (client: PoolClient) => void;
  /** Returns a connection of the pool, or an object that replaces it. */
  readonly connect: () => Promise<PoolClient>;
  /** Called before a scope waits until a connection is given back. Throws where it must not. */
  readonly assertMayWait: (scope: LeaseOwner | undefined) => void;
  /** Called when the pool is closed. */
  readonly onEnd: () => void;
}

const UNREACHABLE = 'the application shut down, and its database did not answer';

/**
 * Watches the connections of one pool of node-postgres: who waits for one, who has one, and whether the server answers.
 *
 * MikroORM never gives back a connection that breaks within a transaction, because its rollback fails. With every
 * restart of the database, the pool would shrink, until every caller waits for ever. Here, a connection is given back
 * when it breaks.
 */
export class WatchedPool {
  readonly #options: WatchedPoolOptions;
  readonly #leases = new WeakMap<PoolClient, Lease>();
  readonly #out = new Set<Lease>();
  readonly #queue: ConnectionQueue<PoolClient>;
  readonly #watch: AnswerWatch;
  #isClosing = false;
  /** Whether the server did not answer when the application shut down. */
  #isUnreachable = false;

  constructor(
    readonly pool: Pool,
    options: WatchedPoolOptions,
  ) {
    this.#options = options;
    const patience = setDefaults(pool);
    hearErrors(pool);
    this.#watch = new AnswerWatch(pool, () => [...this.#out]);
    pool.on('connect', (client) => void this.#leaseOf(client));
    pool.on('acquire', (client) => {
      const lease = this.#leaseOf(client);
      lease.isOut = true;
      this.#out.add(lease);
      this.#watch.start();
    });
    pool.on('release', (_error, client) => {
      const lease = this.#leaseOf(client);
      lease.isOut = false;
      this.#out.delete(lease);
    });
    // Seam: pg/pool
    const connect = pool.connect.bind(pool);
    this.#queue = new ConnectionQueue(pool, { connect, assertMayWait: options.assertMayWait, patience });
    pool.connect = (...args) => (args.length > 0 ? connect(...args) : options.connect());
    const end = pool.end.bind(pool);
    pool.end = (...args) => this.#end(() => end(...args));
  }

  get isClosing(): boolean {
    return this.#isClosing;
  }

  get facts(): PoolFacts {
    const { options, totalCount, idleCount, waitingCount } = this.pool;
    return { max: options.max, size: totalCount, idle: idleCount, waiting: this.#queue.waiting + waitingCount };
  }

  /** The leases of the connections that are checked out. */
  get leases(): readonly Lease[] {
    return [...this.#out];
  }

  leasesOf(scope: LeaseOwner): readonly Lease[] {
    return this.leases.filter((lease) => lease.use.isOf(scope));
  }

  /** Checks out a connection for a scope, or for the first statement of a transaction. */
  checkOut(scope: LeaseOwner | undefined, transaction?: BegunTransaction): LeaseWait {
    let entry: ConnectionWait<PoolClient> | undefined;
    const wait = (): Promise<PoolClient> => {
      entry = this.#enter(scope);
      return entry.client;
    };
    return {
      lease: this.#checkOut(wait, scope, transaction),
      leave: (reason) => entry?.leave(reason),
    };
  }

  /** Gives up the waits of a scope. */
  leave(scope: LeaseOwner, makeReason: () => Error): void {
    this.#queue.leave(scope, makeReason);
  }

  /** Ends the connections of a scope whose answers the network has lost. */
  async endForgotten(scope: LeaseOwner): Promise<void> {
    await this.#watch.endForgotten((lease) => lease.use.isOf(scope));
  }

  /**
   * Ends the connections that wait for an answer, when the application shuts down. If the server cannot be reached,
   * ends all, also those that are being opened. Otherwise ends those whose answer the network has lost.
   */
  async endUnreachable(): Promise<void> {
    const { pool } = this;
    if (pool.totalCount > pool.idleCount && (await this.#watch.endAllForgotten()) === 'unreachable') {
      const reason = new Error(UNREACHABLE);
      this.#isUnreachable = true;
      this.#queue.close(reason);
      this.#destroyAll(reason);
    }
  }

  #enter(scope: LeaseOwner | undefined): ConnectionWait<PoolClient> {
    if (this.#isUnreachable) {
      throw new Error(UNREACHABLE);
    }
    const { isBusy } = this.#queue;
    const entry = this.#queue.enter(scope);
    if (!isBusy) {
      return entry;
    }
    this.pool.onWait?.(entry);
    return { ...entry, client: this.#options.waits(this.pool, entry) };
  }

  /** Waits for a connection without an open transaction that somebody has left. */
  async #checkOut(
    wait: () => Promise<PoolClient>,
    scope: LeaseOwner | undefined,
    transaction: BegunTransaction | undefined,
  ): Promise<Lease> {
    const { observed, checkClient } = this.#options;
    const owner = transaction?.owner ?? scope;
    observed.observer?.asked(owner);
    let client: PoolClient;
    try {
      client = await wait();
      while (this.#leaseOf(client).isLeftOpen) {
        client.release(true);
        client = await wait();
      }
    } finally {
      observed.observer?.answered(owner);
    }
    checkClient(client);
    return this.#leaseOf(client).checkOut(scope, transaction);
  }

  async #end(end: () => Promise<void>): Promise<void> {
    this.#isClosing = true;
    this.#queue.close();
    const reason = new Error('its pool was closed');
    const timer = setTimeout(() => this.#destroyAll(reason), this.#isUnreachable ? 0 : CLOSING_MS);
    try {
      await end();
    } finally {
      clearTimeout(timer);
      this.#watch.stop();
      this.#options.onEnd();
    }
  }

  /** Ends all connections, also those that are being opened. */
  #destroyAll(reason: Error): void {
    const { _clients: clients = [] } = this.pool;
    clients.forEach((client) => this.#leaseOf(client).destroy(reason));
  }

  #leaseOf(client: PoolClient): Lease {
    let lease = this.#leases.get(client);
    if (lease === undefined) {
      lease = this.#options.createLease(client);
      this.#leases.set(client, lease);
    }
    return lease;
  }
}
