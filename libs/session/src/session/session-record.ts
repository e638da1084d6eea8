import { type EntityManager, type Transaction, TransactionContext, TransactionEventBroadcaster } from '@mikro-orm/core';

import { describeEnding, type ScopeEnding, type ScopeMember } from './scope.js';
import type { LiveScope } from './scope.js';
import { SessionClosedError } from './session-error.js';

/** The property by which an EntityManager knows the session it belongs to: the session itself and the forks made of it. */
export const RECORD = Symbol('session record');

export interface Recorded {
  [RECORD]?: SessionRecord;
}

interface ControlledTransaction {
  readonly isCommitted: boolean;
  readonly isRolledBack: boolean;
}

/** What is known of one session: its scope, its open transactions, whether it is closed. */
export class SessionRecord implements ScopeMember {
  readonly #transactions = new Map<EntityManager, Transaction>();
  #ending: ScopeEnding | undefined;

  constructor(
    readonly scope: LiveScope,
    readonly session: EntityManager & Recorded,
  ) {}

  assertOpen(): void {
    if (this.#ending !== undefined) {
      throw new SessionClosedError(this.scope.label, describeEnding(this.#ending));
    }
  }

  /** Gives the innermost transaction of this session in whose callback the running code is. */
  get innermostTransaction(): EntityManager | undefined {
    const em: (EntityManager & Recorded) | undefined = TransactionContext.getEntityManager(this.session.name);
    return em?.[RECORD] === this ? em : undefined;
  }

  /** Remembers a transaction, to roll it back should the session end first. */
  track(em: EntityManager, transaction: Transaction): void {
    for (const [known, { isCommitted, isRolledBack }] of this.#transactions as Map<
      EntityManager,
      ControlledTransaction
    >) {
      if (isCommitted || isRolledBack) {
        this.#transactions.delete(known);
      }
    }
    this.#transactions.set(em, transaction);
  }

  async close(ending: ScopeEnding): Promise<void> {
    if (this.#ending !== undefined) {
      return;
    }
    this.#ending = ending;
    try {
      await this.#rollBack();
    } finally {
      for (const em of [this.session, ...this.#transactions.keys()]) {
        em.getUnitOfWork(false).clear();
      }
      this.#transactions.clear();
    }
  }

  async #rollBack(): Promise<void> {
    const connection = this.session.getConnection('write');
    for (const [em, transaction] of this.#transactions) {
      const { isCommitted, isRolledBack } = transaction as ControlledTransaction;
      // Rolling back the transaction ends its savepoints.
      if (isCommitted || isRolledBack || 'savepointName' in (transaction as object)) {
        continue;
      }
      await connection.rollback(transaction, new TransactionEventBroadcaster(em));
    }
  }
}
