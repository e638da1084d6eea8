import type { EntityManager, Transaction } from '@mikro-orm/core';

import type { LiveScope } from '../scope/live-scope.js';
import type { Enrolled } from '../scope/roster.js';

/** What is to be known of the scope of a holder. */
export type HolderScope = Pick<LiveScope, 'label' | 'openedAt' | 'kind' | 'startedIn'>;

/** A session that may hold connections. */
export interface ConnectionHolder extends Enrolled<ConnectionHolder> {
  readonly scope: HolderScope;
  readonly heldConnections: number;
  /** Whether it holds a connection now, or may with the next statement of a transaction or when its stream is read on. */
  readonly isHolder: boolean;
  /** The transactions that hold a connection now. */
  readonly openTransactions: readonly [EntityManager, Transaction][];
  /** How many half-read streams hold a connection of their own. */
  readonly pausedStreams: number;
  /** Whether the transaction of an EntityManager ends with the `transactional()` call or the flush that made it. */
  hasBlock(em: EntityManager): boolean;
}
