import { type Enrolled, Roster } from '../scope/roster.js';
import { SessionStateError } from '../session-error.js';

/** Somebody's wait for a connection, which can be given up. */
export interface ConnectionWait<Client> {
  readonly client: Promise<Client>;
  leave(reason: Error): void;
}

/** The little of a pool that is needed here. */
export interface QueuedPool {
  readonly options: { readonly max: number };
  readonly idleCount: number;
  readonly totalCount: number;
  readonly waitingCount: number;
  on(event: 'release' | 'remove', listener: () => void): unknown;
}

interface Entry<Client> extends ConnectionWait<Client>, Enrolled<Entry<Client>> {
  readonly scope: object | undefined;
  readonly resolve: (client: Client) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * Lines up who wants a connection of a pool. In node-postgres's own queue a wait cannot be given up: it would be served
 * for nothing, before those who still wait.
 */
export class ConnectionQueue<Client extends { release(): void }> {
  readonly #pool: QueuedPool;
  readonly #connect: () => Promise<Client>;
  /** Those for whom the pool has no connection yet, the first first. */
  readonly #queued = new Roster<Entry<Client>>();
  /** Those for whom the pool was asked for one. */
  readonly #asking = new Roster<Entry<Client>>();
  readonly #patience: number | undefined;

  constructor(pool: QueuedPool, connect: () => Promise<Client>, patience: number | undefined) {
    this.#pool = pool;
    this.#connect = connect;
    this.#patience = patience;
    // The pool tells before it has taken the connection back.
    pool.on('release', () => queueMicrotask(() => this.#serveAll()));
    pool.on('remove', () => this.#serveAll());
  }

  /** Whether whoever comes now has to wait for somebody to give a connection back. */
  get isBusy(): boolean {
    return !this.#queued.isEmpty || isExhausted(this.#pool);
  }

  /** How many wait for somebody to give a connection back. */
  get waiting(): number {
    return [...this.#queued].length;
  }

  enter(scope: object | undefined): ConnectionWait<Client> {
    const { promise, resolve, reject } = Promise.withResolvers<Client>();
    const leave = (reason: Error): void => this.#leave(entry, reason);
    const entry: Entry<Client> = { scope, client: promise, resolve, reject, leave };
    // Who gives up a wait may not wait for the client.
    promise.catch(() => undefined);
    if (this.isBusy) {
      this.#queued.add(entry);
      this.#limit(entry);
    } else {
      this.#serve(entry);
    }
    return entry;
  }

  /** Gives up the waits of a scope. */
  leave(scope: object, makeReason: () => Error): void {
    // Nearly every scope waits for nothing, and to make an error takes as long as the rest of its end.
    for (const roster of [this.#queued, this.#asking]) {
      for (const entry of roster) {
        if (entry.scope === scope) {
          entry.leave(makeReason());
        }
      }
    }
  }

  /** Gives up the waits for whom there will be no connection any more. */
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
    if (this.#patience !== undefined) {
      const timer = setTimeout(() => entry.leave(new Error('timeout exceeded when trying to connect')), this.#patience);
      entry.client.then(
        () => clearTimeout(timer),
        () => clearTimeout(timer),
      );
    }
  }

  #serve(entry: Entry<Client>): void {
    this.#asking.add(entry);
    this.#connect().then(
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

/** An idle connection may be promised to somebody who asked for it in the same turn of the event loop. */
// Seam: pg/pool
function isExhausted({ options, idleCount, totalCount, waitingCount }: QueuedPool): boolean {
  return idleCount + options.max - totalCount <= waitingCount;
}
