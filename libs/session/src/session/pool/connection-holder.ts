import type { EntityManager, Transaction } from '@mikro-orm/core';

import type { LiveScope } from '../scope/live-scope.js';
import type { Enrolled } from '../scope/roster.js';

/** The members of the scope of a holder that are used here. */
export type HolderScope = Pick<LiveScope, 'label' | 'openedAt' | 'kind' | 'startedIn'>;

/** A session that may hold connections. */
export interface ConnectionHolder extends Enrolled<ConnectionHolder> {
  readonly scope: HolderScope;
  readonly heldConnections: number;
  /**
   * Whether it holds a connection now, or may take one with the next statement of a transaction or the next read of a
   * stream.
   */
  readonly isHolder: boolean;
  /** The transactions that hold a connection now. */
  readonly openTransactions: readonly [EntityManager, Transaction][];
  /** The number of half-read streams that hold a connection of their own. */
  readonly pausedStreams: number;
  /** Whether the transaction of an EntityManager ends with the `transactional()` call or the flush that began it. */
  hasBlock(em: EntityManager): boolean;
}
