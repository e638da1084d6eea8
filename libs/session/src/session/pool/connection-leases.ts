import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as delay } from 'node:timers/promises';

import type { Connection, MikroORM, Transaction } from '@mikro-orm/core';

import { ConnectionQueue, type ConnectionWait } from './connection-queue.js';
import { BegunTransaction, begunOf, type LeaseOwner, setBegun } from './begun-transaction.js';
import { DeferredClient } from './deferred-client.js';
import { DeferredConnection, type Opening } from './deferred-connection.js';
import { Lease, type LeaseOptions } from './lease.js';
import { ConnectionReset, type ResetConnections } from './connection-reset.js';
import type { FinitePool } from './pool-deadlock.js';
import { GRACE_MS, setDefaults } from './pool-defaults.js';
import { checkClient, warnOfUnfollowed } from './pool-seams.js';
import { SetUpHooks } from './set-up-hooks.js';
import { AnswerWatch } from './answer-watch.js';
import type { ConnectionObserver, Observed } from './connection-observer.js';
import type { ConnectionFacts, PoolFacts } from './pool-facts.js';
import { isUnreachable } from './ask-aside.js';
import { SessionStateError } from '../session-error.js';
import type { Pool, PoolClient } from './pool.js';

/** Decides whether a wait for a connection may begin: throws, or rejects later, where it could never end. */
export type Waits = <Client>(pool: FinitePool, wait: ConnectionWait<Client>) => Promise<Client>;

/** The connections of another driver than PostgreSQL's. */
interface OtherPool {
  leave(scope: LeaseOwner, makeReason: () => Error): void;
  leasesOf(scope: LeaseOwner): readonly { readonly heldIdleFor: number; destroy(reason: Error): void }[];
}

const UNREACHABLE = 'the application shut down, and its database did not answer';
/** How long the connections of a pool that is closed may still be used. */
const CLOSING_MS = 3_000;
/** How long an application that shuts down is not suspected of a dead network. */
const PATIENCE_MS = 300;

/**
 * Follows the connections that are checked out of a pool.
 *
 * A connection that breaks within a transaction is never given back by MikroORM, whose rollback fails on it: with every
 * restart of the database the pool would shrink, until it hangs for ever. Here it is given back when it breaks.
 */
export class ConnectionLeases implements Observed {
  readonly #leases = new WeakMap<PoolClient, Lease>();
  readonly #out = new Set<Lease>();
  readonly #pools = new Map<Pool, ConnectionQueue<PoolClient>>();
  readonly #others = new Set<OtherPool>();
  readonly #watches = new Map<Pool, AnswerWatch>();
  /** The pools whose server did not answer when the application shut down. */
  readonly #unreachable = new WeakSet<Pool>();
  readonly #beginnings = new AsyncLocalStorage<BegunTransaction>();
  readonly #hooks = new SetUpHooks(() => {
    const begun = this.#beginnings.getStore();
    return begun?.isClaimed === false ? begun.arriving : undefined;
  });
  /** Who is told of connections, if anybody is. */
  observer: ConnectionObserver | undefined;
  /** Whether the pool is MikroORM's own, and nobody else's. */
  expectsPool = false;
  /** Whether a transaction takes its connection with its first statement, and not when it begins. */
  #defers = true;
  #isWarned = false;
  #isClientChecked = false;

  constructor(
    private readonly findScope: () => LeaseOwner | undefined,
    private readonly waits: Waits,
    private resets: ResetConnections,
    private readonly heldIdle: Pick<LeaseOptions, 'heldIdleAfter' | 'onHeldIdle'>,
  ) {}

  get pools(): readonly Pool[] {
    return [...this.#pools.keys()];
  }

  /** The scope of the running code. */
  get scope(): LeaseOwner | undefined {
    return this.findScope();
  }

  /** The transaction that the running code begins for an EntityManager. */
  get beginning(): BegunTransaction | undefined {
    return this.#beginnings.getStore();
  }

  /** What the sessions want of each connection. */
  get leaseOptions(): Pick<LeaseOptions, 'heldIdleAfter' | 'onHeldIdle'> & { readonly isReplaced: ResetConnections } {
    return { ...this.heldIdle, isReplaced: this.resets };
  }

  /**
   * Waits for a connection of another driver.
   *
   * @throws {SessionPoolDeadlockError} where the wait could never end
   */
  waitFor<Client>(pool: FinitePool, wait: ConnectionWait<Client>): Promise<Client> {
    return this.waits(pool, wait);
  }

  /** Follows the connections of another driver, which begin and end with their transactions. */
  followOther(pool: OtherPool): void {
    this.#others.add(pool);
  }

  forgetOther(pool: OtherPool): void {
    this.#others.delete(pool);
  }

  get poolFacts(): PoolFacts[] {
    return [...this.#pools].map(([{ options, totalCount, idleCount, waitingCount }, queue]) => ({
      max: options.max,
      size: totalCount,
      idle: idleCount,
      waiting: queue.waiting + waitingCount,
    }));
  }

  /** The connections that are checked out. */
  get connectionFacts(): ConnectionFacts[] {
    return [...this.#out].map((lease) => lease.facts);
  }

  /** Follows what MikroORM itself does to a connection. */
  followHooks(connection: Connection, orm: MikroORM): void {
    this.#defers = this.#hooks.follow(connection, orm);
    if (!this.#defers) {
      // Nobody could tell the settings of the hook from those of a session.
      this.resets = 'never';
    }
  }

  follow(pool: Pool): void {
    const patience = setDefaults(pool);
    const out = new Set<Lease>();
    const watch = new AnswerWatch(pool, () => [...out]);
    this.#watches.set(pool, watch);
    pool.on('connect', (client) => void this.#leaseOf(client));
    pool.on('acquire', (client) => {
      const lease = this.#leaseOf(client);
      lease.isOut = true;
      this.#out.add(lease);
      out.add(lease);
      watch.start();
    });
    pool.on('release', (_error, client) => {
      const lease = this.#leaseOf(client);
      lease.isOut = false;
      this.#out.delete(lease);
      out.delete(lease);
    });
    // Seam: pg/pool
    const connect = pool.connect.bind(pool);
    const queue = new ConnectionQueue(pool, connect, patience);
    this.#pools.set(pool, queue);
    const enter = (scope: LeaseOwner | undefined): ConnectionWait<PoolClient> => {
      if (this.#unreachable.has(pool)) {
        throw new Error(UNREACHABLE);
      }
      const { isBusy } = queue;
      const entry = queue.enter(scope);
      if (!isBusy) {
        return entry;
      }
      pool.onWait?.(entry);
      return { ...entry, client: this.waits(pool, entry) };
    };
    pool.connect = (...args) => (args.length > 0 ? connect(...args) : this.#connect(enter));
    const end = pool.end.bind(pool);
    pool.end = async (...args) => {
      queue.close(new SessionStateError('The pool of connections was closed before there was a connection to give.'));
      this.#pools.delete(pool);
      const isHopeless = this.#unreachable.has(pool);
      const reason = new Error('its pool was closed');
      const timer = setTimeout(() => this.#destroyAll(pool, reason), isHopeless ? 0 : CLOSING_MS);
      try {
        return await end(...args);
      } finally {
        clearTimeout(timer);
        this.#watches.delete(pool);
        watch.stop();
      }
    };
  }

  /** Begins a transaction of an EntityManager, or a savepoint in one, and remembers what it runs on. */
  async begin(owner: LeaseOwner, around: Transaction, begin: () => Promise<Transaction>): Promise<Transaction> {
    const begun = begunOf(around) ?? new BegunTransaction(owner);
    const transaction = await begun.asOwner(() => this.#beginnings.run(begun, begin));
    setBegun(transaction, begun);
    if (around === undefined && !begun.isClaimed) {
      this.#warnOfUnknownBegin();
    }
    return transaction;
  }

  /** Remembers what a transaction runs on that is being begun, whose begin may fail yet. */
  started(transaction: Transaction): void {
    setBegun(transaction, this.#beginnings.getStore());
  }

  /** Runs the statements by which MikroORM sets a transaction that is being begun. */
  async setting(work: () => Promise<void>): Promise<void> {
    const begun = this.#beginnings.getStore();
    await (begun?.whileBeingSet(work) ?? work());
  }

  /**
   * Ends what waits for an answer when the application shuts down, where none can come: on a network that swallows
   * everything, NestJS would wait for its requests, and the requests for the database.
   */
  async endUnreachable(): Promise<void> {
    await delay(PATIENCE_MS, undefined, { ref: false });
    await Promise.all([...this.#pools.keys()].map((pool) => this.#endIfUnreachable(pool)));
  }

  async #endIfUnreachable(pool: Pool): Promise<void> {
    if (pool.totalCount > pool.idleCount && (await isUnreachable(pool))) {
      const reason = new Error(UNREACHABLE);
      this.#unreachable.add(pool);
      this.#pools.get(pool)?.close(reason);
      this.#destroyAll(pool, reason);
      return;
    }
    await this.#watches.get(pool)?.endForgotten(() => true);
  }

  /** Milliseconds for which a scope has held a connection in a transaction while no statement ran, the longest of them. */
  heldIdleFor(scope: LeaseOwner): number {
    return Math.max(0, ...this.#leasesOf(scope).map((lease) => lease.heldIdleFor));
  }

  /** Gives up what a scope waits for. */
  leave(scope: LeaseOwner, makeReason: () => Error): void {
    this.#pools.forEach((queue) => queue.leave(scope, makeReason));
    this.#others.forEach((pool) => pool.leave(scope, makeReason));
  }

  /** Ends the connections that a scope still holds, without asking the server, which rolls back. */
  abandon(scope: LeaseOwner): void {
    for (const lease of this.#leasesOf(scope)) {
      lease.destroy(new Error('it did not answer in time, and was given up'));
    }
  }

  /** Does so when the connections had some time to answer. */
  abandonSoon(scope: LeaseOwner): void {
    setTimeout(() => setImmediate(() => this.abandon(scope)), GRACE_MS).unref();
  }

  /**
   * Gives up the connections of a scope whose statements have lost their answer, after some time to answer. Called when
   * nobody waits for the scope any more but its own work.
   */
  endForgottenSoon(scope: LeaseOwner): void {
    setTimeout(() => {
      this.#watches.forEach((watch) => void watch.endForgotten((lease) => lease.isOf(scope)));
    }, GRACE_MS).unref();
  }

  /** Gives a transaction that is being begun what stands for its connection, and everybody else a connection. */
  async #connect(enter: (scope: LeaseOwner | undefined) => ConnectionWait<PoolClient>): Promise<PoolClient> {
    const scope = this.findScope();
    const begun = this.#beginnings.getStore();
    if (!this.#defers || begun?.isClaimed !== false) {
      const { client } = await this.#checkOut(() => enter(scope).client, scope);
      return client;
    }
    const connectLater = (): Opening => {
      let entry: ConnectionWait<PoolClient> | undefined;
      const wait = (): Promise<PoolClient> => {
        entry = enter(scope);
        return entry.client;
      };
      return {
        lease: this.#checkOut(wait, scope, begun),
        leave: (reason) => entry?.leave(reason),
      };
    };
    const connection = new DeferredConnection(begun, connectLater, this.#hooks);
    begun.arriving = connection;
    return new DeferredClient(connection, begun.owner.label) as unknown as PoolClient;
  }

  /** Waits for a connection that nobody has left a transaction open on. */
  async #checkOut(
    wait: () => Promise<PoolClient>,
    scope: LeaseOwner | undefined,
    begun?: BegunTransaction,
  ): Promise<Lease> {
    const owner = begun?.owner ?? scope;
    this.observer?.asked(owner);
    let client: PoolClient;
    try {
      client = await wait();
      while (this.#leaseOf(client).isLeftOpen) {
        client.release(true);
        client = await wait();
      }
    } finally {
      this.observer?.answered(owner);
    }
    if (!this.#isClientChecked) {
      this.#isClientChecked = true;
      checkClient(client);
    }
    return this.#leaseOf(client).checkOut(scope, begun);
  }

  #leasesOf(scope: LeaseOwner): ReturnType<OtherPool['leasesOf']> {
    const others = [...this.#others].flatMap((pool) => pool.leasesOf(scope));
    return [...[...this.#out].filter((lease) => lease.isOf(scope)), ...others];
  }

  #warnOfUnknownBegin(): void {
    if (!this.#isWarned && (this.expectsPool || this.#pools.size > 0)) {
      this.#isWarned = true;
      warnOfUnfollowed(this.#pools.size > 0);
    }
  }

  /** Those that are still opening, too. */
  #destroyAll({ _clients: clients = [] }: Pool, reason: Error): void {
    clients.forEach((client) => this.#leaseOf(client).destroy(reason));
  }

  #leaseOf(client: PoolClient): Lease {
    let lease = this.#leases.get(client);
    if (lease === undefined) {
      lease = new Lease(client, {
        beginnings: this.#beginnings,
        observed: this,
        reset: new ConnectionReset(this.resets, this.#hooks),
        ...this.heldIdle,
      });
      this.#leases.set(client, lease);
    }
    return lease;
  }
}
