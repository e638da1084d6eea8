import type { EntityManager } from '@mikro-orm/core';

import type { LiveScope } from './live-scope.js';
import { SessionPoolDeadlockError } from './session-error.js';
import type { SessionRecord } from './session-record.js';
import type { SessionSurroundings } from './session-surroundings.js';
import type { TransactionFrame } from './transaction-frames.js';
import { findUserFrame } from './user-frame.js';
import type { Pool, PoolClient } from './watch-pools.js';

interface Wait {
  readonly scope: LiveScope | undefined;
  readonly frame: TransactionFrame | undefined;
}

/**
 * Knows who waits for a connection, and finds when that can never end: every connection of the pool is held by an open
 * transaction, or by a half-read stream, whose scope, or work that was started in it, waits for one more.
 */
export class PoolDeadlock {
  readonly #waits = new Set<Wait>();

  constructor(private readonly surroundings: SessionSurroundings) {}

  /**
   * @throws {SessionPoolDeadlockError} at once, when this wait is the one that closes the circle
   */
  async wait(pool: Pool, client: Promise<PoolClient>): Promise<PoolClient> {
    const { scopes, frames } = this.surroundings;
    const wait: Wait = { scope: scopes.current, frame: frames.current };
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
    const held = [...this.surroundings.holders].flatMap((record) => [
      ...record.openTransactions.filter(([em]) => this.#isStuck(record, em)).map(() => this.#describe(record)),
      ...Array.from({ length: this.#isWaiting(record) ? record.pausedStreams : 0 }, () => this.#describe(record)),
    ]);
    if (held.length >= pool.options.max) {
      throw new SessionPoolDeadlockError(scope.label, held);
    }
  }

  /**
   * A transaction is stuck when its block, or something that was started there, waits. One without a block is taken for
   * stuck when the scope that uses it waits: nobody knows who is to end it.
   */
  #isStuck(record: SessionRecord, em: EntityManager): boolean {
    return record.hasBlock(em) ? [...this.#waits].some(({ frame }) => isWithin(frame, em)) : this.#isWaiting(record);
  }

  #isWaiting({ scope }: SessionRecord): boolean {
    const user = scope.kind === 'create' ? scope.startedIn : scope;
    return user !== undefined && [...this.#waits].some((wait) => wait.scope?.isWithin(user) === true);
  }

  #describe(record: SessionRecord): string {
    const { label, openedAt } = record.scope;
    const place = findUserFrame(this.surroundings.leaks.stackOf(record));
    const where = place === undefined ? '' : `, opened ${place}`;
    return `"${label}" (for ${Date.now() - openedAt.getTime()} ms${where})`;
  }
}

function isWithin(frame: TransactionFrame | undefined, em: EntityManager): boolean {
  return frame !== undefined && (frame.em === em || isWithin(frame.outer, em));
}
