import { type Enrolled, Roster } from '../scope/roster.js';
import { SessionStateError } from '../session-error.js';
import type { LeaseOwner } from './begun-transaction.js';

/** The wait of one caller for a connection. The wait can be given up. */
export interface ConnectionWait<Client> {
  readonly client: Promise<Client>;
  leave(reason: Error): void;
}

/** The members of a pool that are used here. */
export interface QueuedPool {
  readonly options: { readonly max: number };
  readonly idleCount: number;
  readonly totalCount: number;
  readonly waitingCount: number;
  on(event: 'release' | 'remove', listener: () => void): unknown;
}

export interface QueueOptions<Client> {
  /** Asks the pool for a connection. */
  readonly connect: () => Promise<Client>;
  /** Called before a caller waits until a connection is given back. Throws where its scope must not. */
  readonly assertMayWait: (scope: LeaseOwner | undefined) => void;
  /** Milliseconds that a wait may take. */
  readonly patience: number | undefined;
}

interface Entry<Client> extends ConnectionWait<Client>, Enrolled<Entry<Client>> {
  readonly scope: LeaseOwner | undefined;
  readonly resolve: (client: Client) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * The queue of callers that wait for a connection of a pool. In the queue of node-postgres, a wait cannot be given up:
 * it would still get a connection, before the callers that need one.
 */
export class ConnectionQueue<Client extends { release(): void }> {
  readonly #pool: QueuedPool;
  readonly #options: QueueOptions<Client>;
  /** The callers for which the pool has no connection yet, in their order. */
  readonly #queued = new Roster<Entry<Client>>();
  /** The callers for which the pool was asked for a connection. */
  readonly #asking = new Roster<Entry<Client>>();

  constructor(pool: QueuedPool, options: QueueOptions<Client>) {
    this.#pool = pool;
    this.#options = options;
    // The pool emits this before it has taken the connection back.
    pool.on('release', () => queueMicrotask(() => this.#serveAll()));
    pool.on('remove', () => this.#serveAll());
  }

  /** Whether a new caller would have to wait until a connection is given back. */
  get isBusy(): boolean {
    return !this.#queued.isEmpty || isExhausted(this.#pool);
  }

  /** The number of callers that wait until a connection is given back. */
  get waiting(): number {
    return [...this.#queued].length;
  }

  /** @throws {SessionClosedError} when the caller would have to wait, and its scope has just ended */
  enter(scope: LeaseOwner | undefined): ConnectionWait<Client> {
    const mustWait = this.isBusy;
    if (mustWait) {
      this.#options.assertMayWait(scope);
    }
    const { promise, resolve, reject } = Promise.withResolvers<Client>();
    const leave = (reason: Error): void => this.#leave(entry, reason);
    const entry: Entry<Client> = { scope, client: promise, resolve, reject, leave };
    // A caller that gives up the wait may not await this promise.
    promise.catch(() => undefined);
    if (mustWait) {
      this.#queued.add(entry);
      this.#limit(entry);
    } else {
      this.#serve(entry);
    }
    return entry;
  }

  /** Gives up the waits of a scope. */
  leave(scope: LeaseOwner, makeReason: () => Error): void {
    // Nearly every scope waits for nothing. So the error is made only for a wait: that takes as long as the rest of the
    // end of a scope.
    for (const roster of [this.#queued, this.#asking]) {
      for (const entry of roster) {
        if (entry.scope === scope) {
          entry.leave(makeReason());
        }
      }
    }
  }

  /** Gives up the waits that will not get a connection any more. */
  close(
    reason: Error = new SessionStateError('The pool of connections was closed before there was a connection to give.'),
  ): void {
    [...this.#queued].forEach((entry) => entry.leave(reason));
  }

  #leave(entry: Entry<Client>, reason: Error): void {
    if (this.#queued.delete(entry) || this.#asking.delete(entry)) {
      entry.reject(reason);
    }
  }

  #limit(entry: Entry<Client>): void {
    const { patience } = this.#options;
    if (patience !== undefined) {
      const timer = setTimeout(() => entry.leave(new Error('timeout exceeded when trying to connect')), patience);
      entry.client.then(
        () => clearTimeout(timer),
        () => clearTimeout(timer),
      );
    }
  }

  #serve(entry: Entry<Client>): void {
    this.#asking.add(entry);
    this.#options.connect().then(
      (client) => {
        if (this.#asking.delete(entry)) {
          entry.resolve(client);
        } else {
          client.release();
        }
      },
      (error: unknown) => {
        this.#asking.delete(entry);
        entry.reject(error);
        this.#serveAll();
      },
    );
  }

  #serveAll(): void {
    for (const entry of this.#queued) {
      if (isExhausted(this.#pool)) {
        return;
      }
      this.#queued.delete(entry);
      this.#serve(entry);
    }
  }
}

/**
 * Whether no connection is left for a new caller. An idle one may already be promised to a caller of the same turn of the
 * event loop.
 */
// Seam: pg/pool
function isExhausted({ options, idleCount, totalCount, waitingCount }: QueuedPool): boolean {
  return idleCount + options.max - totalCount <= waitingCount;
}
