import { ConnectionQueue } from '../pool/connection-queue.js';
import type { ConnectionPools } from '../pool/connection-pools.js';
import type { LeaseOwner } from '../pool/begun-transaction.js';
import { CLOSING_MS } from '../pool/pool-defaults.js';
import type { PoolFacts } from '../pool/pool-facts.js';
import type { DriverKnowledge } from './driver-knowledge.js';
import { DriverLease } from './driver-lease.js';
import type { KyselyConnection, KyselyDriver } from './kysely-driver.js';
import type { NativeLinks, OpenedLink } from './native-link.js';

/** The right to use one of the connections. */
interface Place {
  release(): void;
}

/**
 * The connections of one driver of Kysely. Callers wait here, and not in the pool of the driver package. There, nobody
 * could see who waits for whom, or give up a wait.
 */
export class DriverPool {
  /** Properties that the queue reads: this pool has no idle connections, and nobody waits behind the queue. */
  readonly idleCount = 0;
  readonly waitingCount = 0;
  readonly #driver: KyselyDriver;
  readonly #links: NativeLinks;
  readonly #leases = new WeakMap<KyselyConnection, DriverLease>();
  readonly #out = new Set<DriverLease>();
  readonly #queue: ConnectionQueue<Place>;
  readonly #listeners: (() => void)[] = [];
  #used = 0;
  #isClosing = false;

  constructor(
    driver: KyselyDriver,
    links: NativeLinks,
    private readonly knowledge: DriverKnowledge,
    private readonly connections: ConnectionPools,
  ) {
    this.#driver = driver;
    this.#links = links;
    this.#queue = new ConnectionQueue(this, {
      connect: async () => this.#takePlace(),
      assertMayWait: (scope) => connections.assertMayWait(scope),
      patience: undefined,
    });
  }

  get options(): { readonly max: number } {
    return { max: this.#links.limit };
  }

  get remedy(): string | undefined {
    return this.knowledge.remedy;
  }

  get totalCount(): number {
    return this.#used;
  }

  get isClosing(): boolean {
    return this.#isClosing;
  }

  get facts(): PoolFacts {
    const { limit, size: known } = this.#links;
    const size = Math.max(known, this.#used);
    return { max: limit === Infinity ? undefined : limit, size, idle: size - this.#used, waiting: this.#queue.waiting };
  }

  /** The leases of the connections that are checked out. */
  get leases(): readonly DriverLease[] {
    return [...this.#out];
  }

  on(_event: 'release' | 'remove', listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** @throws {SessionPoolDeadlockError} when the wait could never end */
  async acquire(): Promise<DriverLease> {
    const { beginnings, observer, scope } = this.connections;
    const owner = beginnings.unclaimed?.owner ?? scope;
    observer?.asked(owner);
    try {
      const { isBusy } = this.#queue;
      const entry = this.#queue.enter(scope);
      const place = await (isBusy ? this.connections.waitFor(this, entry) : entry.client);
      return await this.#open(place, scope);
    } finally {
      observer?.answered(owner);
    }
  }

  /** Returns the lease of a connection that was handed out. */
  leaseOf(handle: KyselyConnection): DriverLease {
    return this.#leases.get(handle) as DriverLease;
  }

  /** Gives up the waits of a scope. */
  leave(scope: LeaseOwner, makeReason: () => Error): void {
    this.#queue.leave(scope, makeReason);
  }

  leasesOf(scope: LeaseOwner): readonly DriverLease[] {
    return this.leases.filter((lease) => lease.use.isOf(scope));
  }

  async close(close: () => Promise<void>): Promise<void> {
    this.#isClosing = true;
    this.connections.forgetOther(this);
    this.#queue.close();
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#links.destroyAll(new Error('its pool was closed'));
    }, CLOSING_MS);
    try {
      await close();
    } catch (error) {
      // Closing a connection that was ended in the meantime fails. That does not matter.
      if (!isLate) {
        throw error;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #takePlace(): Place {
    this.#used += 1;
    return { release: () => this.#free() };
  }

  /** Opens a connection in the context of the caller that waited for it: its hooks may use that context. */
  async #open(place: Place, scope: LeaseOwner | undefined): Promise<DriverLease> {
    let opened: OpenedLink;
    try {
      opened = await this.#links.open(() => this.#driver.acquireConnection());
    } catch (error) {
      place.release();
      throw error;
    }
    const lease = new DriverLease(opened, {
      scope,
      knowledge: this.knowledge,
      ...this.connections.leaseOptions,
      onRelease: (released, ready) => void this.#take(released, place, ready),
    });
    this.#leases.set(lease.statements.handle, lease);
    this.#out.add(lease);
    return lease;
  }

  async #take(lease: DriverLease, place: Place, ready: Promise<unknown> | undefined): Promise<void> {
    this.#out.delete(lease);
    if (ready !== undefined) {
      await ready;
    }
    // A lost connection cannot be given back, and its answer would never come.
    await this.#driver.releaseConnection(lease.connection).catch(() => undefined);
    place.release();
  }

  #free(): void {
    this.#used -= 1;
    this.#listeners.forEach((listener) => listener());
  }
}
