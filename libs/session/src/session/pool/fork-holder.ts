import type { EntityManager, Transaction } from '@mikro-orm/core';

import { begunOf } from './begun-transaction.js';
import type { ConnectionHolder, HolderScope } from './connection-holder.js';

/** The `transactional()` call of an EntityManager without a session, as a holder of a connection. */
export class ForkHolder implements ConnectionHolder {
  before: ConnectionHolder | undefined;
  after: ConnectionHolder | undefined;
  readonly isHolder = true;
  readonly pausedStreams = 0;
  readonly #openedAt = new Date();

  constructor(
    private readonly em: EntityManager,
    private readonly transaction: Transaction,
  ) {}

  get scope(): HolderScope {
    const label = `transactional() of a fork of the EntityManager "${this.em.name}"`;
    return { label, openedAt: this.#openedAt, kind: 'run', startedIn: undefined };
  }

  get openTransactions(): [EntityManager, Transaction][] {
    return begunOf(this.transaction)?.holdsConnection === false ? [] : [[this.em, this.transaction]];
  }

  get heldConnections(): number {
    return this.openTransactions.length;
  }

  hasBlock(): boolean {
    return true;
  }
}
