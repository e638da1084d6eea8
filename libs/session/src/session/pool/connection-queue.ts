import { type Enrolled, Roster } from '../scope/roster.js';
import type { Pool, PoolClient } from './watch-pools.js';

/** Somebody's wait for a connection, which can be given up. */
export interface ConnectionWait {
  readonly client: Promise<PoolClient>;
  leave(reason: Error): void;
}

interface Entry extends ConnectionWait, Enrolled<Entry> {
  readonly scope: object | undefined;
  readonly resolve: (client: PoolClient) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * Lines up who wants a connection of a pool. In node-postgres's own queue a wait cannot be given up: it would be served
 * for nothing, before those who still wait.
 */
export class ConnectionQueue {
  readonly #pool: Pool;
  readonly #connect: () => Promise<PoolClient>;
  /** Those for whom the pool has no connection yet, the first first. */
  readonly #queued = new Roster<Entry>();
  /** Those for whom the pool was asked for one. */
  readonly #asking = new Roster<Entry>();
  readonly #patience: number | undefined;

  constructor(pool: Pool, connect: () => Promise<PoolClient>, patience: number | undefined) {
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

  enter(scope: object | undefined): ConnectionWait {
    const { promise, resolve, reject } = Promise.withResolvers<PoolClient>();
    const leave = (reason: Error): void => this.#leave(entry, reason);
    const entry: Entry = { scope, client: promise, resolve, reject, leave };
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
  close(reason: Error): void {
    [...this.#queued].forEach((entry) => entry.leave(reason));
  }

  #leave(entry: Entry, reason: Error): void {
    if (this.#queued.delete(entry) || this.#asking.delete(entry)) {
      entry.reject(reason);
    }
  }

  #limit(entry: Entry): void {
    if (this.#patience !== undefined) {
      const timer = setTimeout(() => entry.leave(new Error('timeout exceeded when trying to connect')), this.#patience);
      entry.client.then(
        () => clearTimeout(timer),
        () => clearTimeout(timer),
      );
    }
  }

  #serve(entry: Entry): void {
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
function isExhausted({ options, idleCount, totalCount, waitingCount }: Pool): boolean {
  return idleCount + options.max - totalCount <= waitingCount;
}
