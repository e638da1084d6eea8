import type { EntityManager, Transaction } from '@mikro-orm/core';

import { begunOf } from '../pool/begun-transaction.js';
import type { TransactionOutcome } from './session-callbacks.js';

interface Joined {
  /** The savepoint that the part of this session begins with. */
  readonly savepoint: Transaction;
  readonly outer: Transaction;
}

/** Knows the transactions of others that a session takes part in, through `begin({ ctx })`. */
export class JoinedTransactions {
  readonly #joined = new Map<EntityManager, Joined>();

  /** The EntityManagers of the session that take part in a transaction which may go on. */
  get managers(): EntityManager[] {
    return this.#joined.size === 0 ? [] : [...this.#joined].filter(([, { outer }]) => isOpen(outer)).map(([em]) => em);
  }

  add(em: EntityManager, joined: Joined): void {
    this.#joined.set(em, joined);
  }

  forget(em: EntityManager): void {
    this.#joined.delete(em);
  }

  /** Undoes what the session wrote in them, the innermost first. They go on. */
  async rollBack(): Promise<void> {
    for (const [em, { savepoint, outer }] of [...this.#joined].toReversed()) {
      if (!isOpen(outer)) {
        continue;
      }
      const { savepointName } = savepoint as { readonly savepointName: string };
      // As a query it is refused when the outer transaction has ended. Kysely's own command would go to its connection,
      // which may be lent to somebody else by then.
      const send = (): Promise<unknown> =>
        em.getDriver().getConnection('write').execute(`rollback to savepoint ${savepointName}`, [], 'run', savepoint);
      const begun = begunOf(savepoint);
      try {
        await (begun?.asOwner(send) ?? send());
      } catch (error) {
        // With its connection all of the transaction is gone, as whoever began it finds.
        if (begun?.lease?.isLossTold !== true) {
          throw error;
        }
      }
    }
  }
}

const LOST = Symbol('lost');
const UNKNOWN = Symbol('unknown');

// Seam: kysely/transaction
interface TransactionState {
  readonly isCommitted: boolean;
  readonly isRolledBack: boolean;
  [LOST]?: boolean;
  [UNKNOWN]?: boolean;
}

/** Whether a transaction may be open. A savepoint, once begun, always may. */
export function isOpen(transaction: Transaction): boolean {
  const { isCommitted, isRolledBack, [LOST]: isLost } = transaction as TransactionState;
  return !isCommitted && !isRolledBack && isLost !== true;
}

export function isCommitted(transaction: Transaction): boolean {
  return (transaction as TransactionState).isCommitted;
}

/** Remembers that a transaction went down with its connection, which neither Kysely nor MikroORM tells. */
export function markLost(transaction: Transaction): void {
  (transaction as TransactionState)[LOST] = true;
}

/** Remembers a transaction whose connection was lost during its commit. */
export function markUnknown(transaction: Transaction): void {
  markLost(transaction);
  (transaction as TransactionState)[UNKNOWN] = true;
}

/**
 * How a transaction ended in which something threw. The error does not tell: a hook can throw after the commit, and the
 * work can throw the error of another transaction, whose commit is unknown.
 */
export function failedEnd(transaction: Transaction): TransactionOutcome {
  const state = transaction as TransactionState | undefined;
  if (state?.isCommitted === true) {
    return 'commit';
  }
  return state?.[UNKNOWN] === true ? 'unknown' : 'rollback';
}

export function isLost(transaction: Transaction): boolean {
  return (transaction as TransactionState | undefined)?.[LOST] === true;
}

export function isSavepoint(transaction: Transaction): boolean {
  return 'savepointName' in (transaction as object);
}
