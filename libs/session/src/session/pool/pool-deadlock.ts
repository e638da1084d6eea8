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

/** The name of a caller without a scope. */
const OUTSIDE = 'An EntityManager outside of every scope';

/** The members of a pool that are used here. */
export interface FinitePool {
  readonly options: { readonly max: number };
  /** What to do when a wait for a connection can never end, for the error. @default 'make the pool larger' */
  readonly remedy?: string | undefined;
}

/** Waits for a connection. Throws or rejects when the wait could never end. */
export type Waits = <Client>(pool: FinitePool, wait: ConnectionWait<Client>) => Promise<Client>;

interface DeadlockServices {
  readonly scopes: ScopeLookup;
  readonly frames: TransactionFrames;
  readonly leaks: LeakWatch;
  readonly holders: Roster<ConnectionHolder>;
  readonly onMisuse: OnMisuse;
}

/**
 * Finds waits for a connection that can never end. In such a deadlock, every connection of the pool is held by an open
 * transaction or a half-read stream whose scope waits for one more connection, itself or in work that it has started.
 */
export class PoolDeadlock {
  readonly #waits = new ConnectionWaits();

  constructor(private readonly services: DeadlockServices) {}

  /** @throws {SessionPoolDeadlockError} at once, when this wait completes the deadlock */
  async wait<Client>(pool: FinitePool, { client, leave }: ConnectionWait<Client>): Promise<Client> {
    const { scopes, frames } = this.services;
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
      this.services.onMisuse({ code: error.code, scope: label, message: error.message });
      throw error;
    }
  }

  /** Returns the holders of connections that wait for one more. A holder is listed once per connection. */
  #findStuck(): readonly ConnectionHolder[] {
    const { holders } = this.services;
    const stuck: ConnectionHolder[] = [];
    for (const holder of holders) {
      if (!holder.isHolder) {
        // Its next transaction or stream adds it again.
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
   * Whether a transaction is stuck: its block waits, or work that the block has started. A transaction without a block
   * counts as stuck when the scope that uses it waits, since any code may have to end it.
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
    const place = findUserFrame(this.services.leaks.stackOf(holder));
    const where = place === undefined ? '' : `, opened ${place}`;
    return `"${label}" (for ${Date.now() - openedAt.getTime()} ms${where})`;
  }
}
