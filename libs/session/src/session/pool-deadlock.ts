import type { LiveScope } from './scope.js';
import type { ScopeStorage } from './scope-storage.js';
import type { LeakWatch } from './leak-watch.js';
import { SessionPoolDeadlockError } from './session-error.js';
import type { SessionRecord } from './session-record.js';
import { findUserFrame } from './user-frame.js';
import type { Pool, PoolClient } from './watch-pools.js';

interface Wait {
  readonly scope: LiveScope | undefined;
}

/**
 * Knows who waits for a connection, and finds when that can never end: every connection of the pool is held by an open
 * transaction whose scope, or work that was started in it, waits for one more.
 */
export class PoolDeadlock {
  readonly #waits = new Set<Wait>();

  constructor(
    private readonly storage: ScopeStorage,
    private readonly transactions: ReadonlySet<SessionRecord>,
    private readonly leaks: LeakWatch,
  ) {}

  /**
   * @throws {SessionPoolDeadlockError} at once, when this wait is the one that closes the circle
   */
  async wait(pool: Pool, client: Promise<PoolClient>): Promise<PoolClient> {
    const wait: Wait = { scope: this.storage.current };
    this.#waits.add(wait);
    try {
      this.#assertEnds(pool, wait);
      return await client;
    } catch (error) {
      if (error instanceof SessionPoolDeadlockError) {
        // The place in the queue cannot be given up: the connection goes back as soon as it comes.
        client.then(
          (late) => late.release(),
          () => undefined,
        );
      }
      throw error;
    } finally {
      this.#waits.delete(wait);
    }
  }

  #assertEnds(pool: Pool, { scope }: Wait): void {
    if (scope === undefined) {
      return;
    }
    const stuck = [...this.transactions].filter((record) => this.#isStuck(record));
    const held = stuck.flatMap((record) => record.openTransactions.map(() => this.#describe(record)));
    if (held.length >= pool.options.max) {
      throw new SessionPoolDeadlockError(scope.label, held);
    }
  }

  /** A session is stuck when the scope that uses it, or something that was started there, waits. */
  #isStuck({ scope }: SessionRecord): boolean {
    const user = scope.kind === 'create' ? scope.startedIn : scope;
    return user !== undefined && [...this.#waits].some((wait) => wait.scope?.isWithin(user) === true);
  }

  #describe(record: SessionRecord): string {
    const { label, openedAt } = record.scope;
    const place = findUserFrame(this.leaks.stackOf(record));
    const where = place === undefined ? '' : `, opened ${place}`;
    return `"${label}" (for ${Date.now() - openedAt.getTime()} ms${where})`;
  }
}
