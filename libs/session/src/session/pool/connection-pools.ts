import { setTimeout as delay } from 'node:timers/promises';

import type { Connection, MikroORM } from '@mikro-orm/core';

import type { LeaseOwner } from './begun-transaction.js';
import type { ConnectionObserver, Observed } from './connection-observer.js';
import type { ConnectionWait } from './connection-queue.js';
import { ConnectionReset, type ResetConnections } from './connection-reset.js';
import type { ConnectionUseOptions, HeldIdleOptions } from './connection-use.js';
import { DeferredClient } from './deferred-client.js';
import { DeferredConnection } from './deferred-connection.js';
import { Lease } from './lease.js';
import type { Pool, PoolClient } from './pool.js';
import type { FinitePool, Waits } from './pool-deadlock.js';
import { GRACE_MS } from './pool-defaults.js';
import type { ConnectionFacts, PoolFacts } from './pool-facts.js';
import { checkClient, warnOfUnfollowed } from './pool-seams.js';
import { SetUpHooks } from './set-up-hooks.js';
import { TransactionBeginnings } from './transaction-beginnings.js';
import { WatchedPool } from './watched-pool.js';

/** A connection that is checked out, with any driver. */
interface FollowedLease {
  readonly use: { readonly heldIdleFor: number };
  readonly facts: ConnectionFacts;
  destroy(reason: Error): void;
}

/** A pool whose connections are followed, with any driver. */
interface FollowedPool {
  readonly isClosing: boolean;
  readonly facts: PoolFacts;
  readonly leases: readonly FollowedLease[];
  leasesOf(scope: LeaseOwner): readonly FollowedLease[];
  leave(scope: LeaseOwner, makeReason: () => Error): void;
}

/** Milliseconds of a shutdown before it is checked whether the network is dead. */
const PATIENCE_MS = 300;

/** The pools of one connection of MikroORM, with the operations for its scopes. */
export class ConnectionPools implements Observed {
  /** The observer of the connections, if there is one. */
  observer: ConnectionObserver | undefined;
  /** Whether MikroORM itself makes the pool. */
  expectsPool = false;
  readonly beginnings = new TransactionBeginnings(() => this.#warnOfUnseen());
  readonly #pools = new Set<WatchedPool>();
  /** The pools of drivers other than PostgreSQL's. */
  readonly #others = new Set<FollowedPool>();
  readonly #hooks = new SetUpHooks(() => this.beginnings.unclaimed?.arriving);
  /** Whether a transaction takes its connection with its first statement, and not already when it begins. */
  #defers = true;
  /** The turn of the event loop, where a session has ended in it. */
  #turn: object | undefined;
  #isWarned = false;
  #isClientChecked = false;

  constructor(
    private readonly findScope: () => LeaseOwner | undefined,
    private readonly waits: Waits,
    private resets: ResetConnections,
    private readonly heldIdle: HeldIdleOptions,
  ) {}

  get pools(): readonly Pool[] {
    return this.#openPools.map(({ pool }) => pool);
  }

  get poolFacts(): PoolFacts[] {
    return this.#all.filter(({ isClosing }) => !isClosing).map(({ facts }) => facts);
  }

  /** The connections that are checked out. */
  get connectionFacts(): ConnectionFacts[] {
    return this.#all.flatMap(({ leases }) => leases.map(({ facts }) => facts));
  }

  /** The scope of the running code. */
  get scope(): LeaseOwner | undefined {
    return this.findScope();
  }

  /** The options of each lease. */
  get leaseOptions(): ConnectionUseOptions & { readonly isReplaced: ResetConnections } {
    return { ...this.heldIdle, observed: this, isReplaced: this.resets };
  }

  /**
   * Waits for a connection of another driver.
   *
   * @throws {SessionPoolDeadlockError} when the wait could never end
   */
  waitFor<Client>(pool: FinitePool, wait: ConnectionWait<Client>): Promise<Client> {
    return this.waits(pool, wait);
  }

  /** Adds the pool of another driver. Its connections are taken and given back with their transactions. */
  followOther(pool: FollowedPool): void {
    this.#others.add(pool);
  }

  forgetOther(pool: FollowedPool): void {
    this.#others.delete(pool);
  }

  /** Follows the hooks with which MikroORM sets up a connection. */
  followHooks(connection: Connection, orm: MikroORM): void {
    this.#defers = this.#hooks.follow(connection, orm);
    if (!this.#defers) {
      // A reset would lose the settings of the hook, which cannot be told from those of a session.
      this.resets = 'never';
    }
  }

  follow(pool: Pool): void {
    const watched: WatchedPool = new WatchedPool(pool, {
      observed: this,
      waits: this.waits,
      createLease: (client) => this.#createLease(client),
      checkClient: (client) => this.#checkClient(client),
      connect: () => this.#connect(watched),
      assertMayWait: (scope) => this.assertMayWait(scope),
      onEnd: () => this.#pools.delete(watched),
    });
    this.#pools.add(watched);
  }

  /**
   * Ends the connections that wait for an answer which cannot come, when the application shuts down. On a dead network,
   * NestJS would wait for its requests, and the requests for the database.
   */
  async endUnreachable(): Promise<void> {
    await delay(PATIENCE_MS, undefined, { ref: false });
    await Promise.all(this.#openPools.map((pool) => pool.endUnreachable()));
  }

  /**
   * Returns the longest time in milliseconds since the last statement on a connection that a transaction of the scope
   * holds.
   */
  heldIdleFor(scope: LeaseOwner): number {
    return Math.max(0, ...this.#leasesOf(scope).map(({ use }) => use.heldIdleFor));
  }

  /** Gives up the waits of a scope. */
  leave(scope: LeaseOwner, makeReason: () => Error): void {
    this.#all.forEach((pool) => pool.leave(scope, makeReason));
  }

  /**
   * Refuses the waits of a scope that are yet to begin: a statement needs some microtasks from the check of its session
   * to the pool. Work of the scope's code that comes later, with a fork of its own, may wait.
   */
  leaveSoon(scope: LeaseOwner, makeReason: () => Error): void {
    if (this.#turn === undefined) {
      this.#turn = {};
      setImmediate(() => (this.#turn = undefined));
    }
    // Kept with the scope: one turn may end very many, and a WeakMap of them would take as long as all the rest.
    scope.left = { turn: this.#turn, makeReason, before: scope.left };
  }

  /** @throws {SessionClosedError} when the scope has ended in this turn of the event loop */
  assertMayWait(scope: LeaseOwner | undefined): void {
    for (let left = this.#turn && scope?.left; left !== undefined; left = left.before) {
      if (left.turn === this.#turn) {
        throw left.makeReason();
      }
    }
  }

  /** Ends the connections that a scope still holds, without a word to the server, which then rolls back. */
  abandon(scope: LeaseOwner): void {
    for (const lease of this.#leasesOf(scope)) {
      lease.destroy(new Error('it did not answer in time, and was given up'));
    }
  }

  /** Does the same after some time, in which the connections may answer. */
  abandonSoon(scope: LeaseOwner): void {
    setTimeout(() => setImmediate(() => this.abandon(scope)), GRACE_MS).unref();
  }

  /**
   * Gives up the connections of a scope whose answers the network has lost, after some time, in which they may answer.
   * Called when nobody waits for the scope any more but its own work.
   */
  endForgottenSoon(scope: LeaseOwner): void {
    setTimeout(() => this.#pools.forEach((pool) => void pool.endForgotten(scope)), GRACE_MS).unref();
  }

  get #openPools(): readonly WatchedPool[] {
    return [...this.#pools].filter(({ isClosing }) => !isClosing);
  }

  get #all(): readonly FollowedPool[] {
    return [...this.#pools, ...this.#others];
  }

  #leasesOf(scope: LeaseOwner): FollowedLease[] {
    return this.#all.flatMap((pool) => pool.leasesOf(scope));
  }

  /** Returns a connection of the pool. A transaction that is being begun gets a DeferredClient instead. */
  async #connect(pool: WatchedPool): Promise<PoolClient> {
    const scope = this.findScope();
    const begun = this.#defers ? this.beginnings.unclaimed : undefined;
    if (begun === undefined) {
      const { client } = await pool.checkOut(scope).lease;
      return client;
    }
    const connection = new DeferredConnection(begun, () => pool.checkOut(scope, begun), this.#hooks);
    begun.arriving = connection;
    return new DeferredClient(connection, begun.owner.label) as unknown as PoolClient;
  }

  #createLease(client: PoolClient): Lease {
    return new Lease(client, {
      beginnings: this.beginnings,
      observed: this,
      reset: new ConnectionReset(this.resets, this.#hooks),
      ...this.heldIdle,
    });
  }

  #checkClient(client: PoolClient): void {
    if (!this.#isClientChecked) {
      this.#isClientChecked = true;
      checkClient(client);
    }
  }

  #warnOfUnseen(): void {
    const isPoolKnown = this.#openPools.length > 0;
    if (!this.#isWarned && (this.expectsPool || isPoolKnown)) {
      this.#isWarned = true;
      warnOfUnfollowed(isPoolKnown);
    }
  }
}
