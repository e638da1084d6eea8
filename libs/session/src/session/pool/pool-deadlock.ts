import type { EntityManager } from '@mikro-orm/core';

import type { ConnectionWait } from './connection-queue.js';
import type { ConnectionHolder } from './connection-holder.js';
import { ConnectionWaits } from './connection-waits.js';
import type { OnMisuse } from '../scope/misuse.js';
import { SessionPoolDeadlockError } from '../session-error.js';
import type { LeakWatch } from '../scope/leak-watch.js';
import type { Roster } from '../scope/roster.js';
import type { ScopeLookup } from '../scope/scope-lookup.js';
import type { TransactionFrames } from '../transaction/transaction-frames.js';
import { findUserFrame } from '../find-user-frame.js';

/** Who waits where there is no scope. */
const OUTSIDE = 'An EntityManager outside of every scope';

/** The little of a pool that is needed here. */
export interface FinitePool {
  readonly options: { readonly max: number };
  /** What to do where a wait for a connection cannot end. @default to make it larger */
  readonly remedy?: string | undefined;
}

/** Decides whether a wait for a connection may begin: throws, or rejects later, where it could never end. */
export type Waits = <Client>(pool: FinitePool, wait: ConnectionWait<Client>) => Promise<Client>;

interface DeadlockSurroundings {
  readonly scopes: ScopeLookup;
  readonly frames: TransactionFrames;
  readonly leaks: LeakWatch;
  readonly holders: Roster<ConnectionHolder>;
  readonly onMisuse: OnMisuse;
}

/**
 * Knows who waits for a connection, and finds when that can never end: every connection of the pool is held by an open
 * transaction, or by a half-read stream, whose scope, or work that was started in it, waits for one more.
 */
export class PoolDeadlock {
  readonly #waits = new ConnectionWaits();

  constructor(private readonly surroundings: DeadlockSurroundings) {}

  /**
   * @throws {SessionPoolDeadlockError} at once, when this wait is the one that closes the circle
   */
  async wait<Client>(pool: FinitePool, { client, leave }: ConnectionWait<Client>): Promise<Client> {
    const { scopes, frames } = this.surroundings;
    const scope = scopes.current;
    const forget = this.#waits.add(scope, frames.current);
    try {
      this.#assertEnds(pool, scope?.label ?? (frames.current && OUTSIDE));
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

  #assertEnds(pool: FinitePool, label: string | undefined): void {
    if (label === undefined) {
      return;
    }
    const stuck = this.#findStuck();
    if (stuck.length >= pool.options.max) {
      const holders = stuck.map((holder) => this.#describe(holder));
      const error = new SessionPoolDeadlockError(label, holders, pool.remedy);
      this.surroundings.onMisuse({ code: error.code, scope: label, message: error.message });
      throw error;
    }
  }

  /** Returns the session of each connection that is held by who waits, more than once where it holds several. */
  #findStuck(): readonly ConnectionHolder[] {
    const { holders } = this.surroundings;
    const stuck: ConnectionHolder[] = [];
    for (const holder of holders) {
      if (!holder.isHolder) {
        // It comes back with its next transaction or stream.
        holders.delete(holder);
        continue;
      }
      const transactions = holder.openTransactions.filter(([em]) => this.#isStuck(holder, em)).length;
      const streams = this.#isWaiting(holder) ? holder.pausedStreams : 0;
      stuck.push(...Array<ConnectionHolder>(transactions + streams).fill(holder));
    }
    return stuck;
  }

  /**
   * A transaction is stuck when its block, or something that was started there, waits. One without a block is taken for
   * stuck when the scope that uses it waits: nobody knows who is to end it.
   */
  #isStuck(holder: ConnectionHolder, em: EntityManager): boolean {
    return holder.hasBlock(em) ? this.#waits.has(em) : this.#isWaiting(holder);
  }

  #isWaiting({ scope }: ConnectionHolder): boolean {
    const user = scope.kind === 'create' ? scope.startedIn : scope;
    return user !== undefined && this.#waits.has(user);
  }

  #describe(holder: ConnectionHolder): string {
    const { label, openedAt } = holder.scope;
    const place = findUserFrame(this.surroundings.leaks.stackOf(holder));
    const where = place === undefined ? '' : `, opened ${place}`;
    return `"${label}" (for ${Date.now() - openedAt.getTime()} ms${where})`;
  }
}
