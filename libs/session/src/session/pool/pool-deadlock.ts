import type { EntityManager } from '@mikro-orm/core';

import type { ConnectionWait } from './connection-queue.js';
import { ConnectionWaits } from './connection-waits.js';
import type { LiveScope } from '../scope/live-scope.js';
import { SessionPoolDeadlockError } from '../session-error.js';
import type { SessionRecord } from '../session-record.js';
import type { SessionSurroundings } from '../session-surroundings.js';
import { findUserFrame } from '../user-frame.js';
import type { Pool, PoolClient } from './watch-pools.js';

/**
 * Knows who waits for a connection, and finds when that can never end: every connection of the pool is held by an open
 * transaction, or by a half-read stream, whose scope, or work that was started in it, waits for one more.
 */
export class PoolDeadlock {
  readonly #waits = new ConnectionWaits();

  constructor(private readonly surroundings: SessionSurroundings) {}

  /**
   * @throws {SessionPoolDeadlockError} at once, when this wait is the one that closes the circle
   */
  async wait(pool: Pool, { client, leave }: ConnectionWait): Promise<PoolClient> {
    const { scopes, frames } = this.surroundings;
    const scope = scopes.current;
    const forget = this.#waits.add(scope, frames.current);
    try {
      this.#assertEnds(pool, scope);
      return await client;
    } catch (error) {
      if (error instanceof SessionPoolDeadlockError) {
        leave(error);
      }
      throw error;
    } finally {
      forget();
    }
  }

  #assertEnds(pool: Pool, scope: LiveScope | undefined): void {
    if (scope === undefined) {
      return;
    }
    const stuck = this.#findStuck();
    if (stuck.length >= pool.options.max) {
      throw new SessionPoolDeadlockError(
        scope.label,
        stuck.map((record) => this.#describe(record)),
      );
    }
  }

  /** Gives the session of each connection that is held by who waits, more than once where it holds several. */
  #findStuck(): readonly SessionRecord[] {
    const { holders } = this.surroundings;
    const stuck: SessionRecord[] = [];
    for (const record of holders) {
      if (!record.isHolder) {
        // It comes back with its next transaction or stream.
        holders.delete(record);
        continue;
      }
      const transactions = record.openTransactions.filter(([em]) => this.#isStuck(record, em)).length;
      const streams = this.#isWaiting(record) ? record.pausedStreams : 0;
      stuck.push(...Array<SessionRecord>(transactions + streams).fill(record));
    }
    return stuck;
  }

  /**
   * A transaction is stuck when its block, or something that was started there, waits. One without a block is taken for
   * stuck when the scope that uses it waits: nobody knows who is to end it.
   */
  #isStuck(record: SessionRecord, em: EntityManager): boolean {
    return record.knownTransactions?.hasBlock(em) === true ? this.#waits.has(em) : this.#isWaiting(record);
  }

  #isWaiting({ scope }: SessionRecord): boolean {
    const user = scope.kind === 'create' ? scope.startedIn : scope;
    return user !== undefined && this.#waits.has(user);
  }

  #describe(record: SessionRecord): string {
    const { label, openedAt } = record.scope;
    const place = findUserFrame(this.surroundings.leaks.stackOf(record));
    const where = place === undefined ? '' : `, opened ${place}`;
    return `"${label}" (for ${Date.now() - openedAt.getTime()} ms${where})`;
  }
}
