import type { EntityManager, Transaction } from '@mikro-orm/core';

import { begunOf } from '../pool/begun-transaction.js';
import type { TransactionOutcome } from './session-callbacks.js';

interface Joined {
  /** The savepoint at which this session joined. */
  readonly savepoint: Transaction;
  readonly outer: Transaction;
}

/** Keeps the transactions of others that a session has joined with `begin({ ctx })`. */
export class JoinedTransactions {
  readonly #joined = new Map<EntityManager, Joined>();

  /** The EntityManagers of the session whose joined transaction is still open. */
  get managers(): EntityManager[] {
    return this.#joined.size === 0 ? [] : [...this.#joined].filter(([, { outer }]) => isOpen(outer)).map(([em]) => em);
  }

  add(em: EntityManager, joined: Joined): void {
    this.#joined.set(em, joined);
  }

  forget(em: EntityManager): void {
    this.#joined.delete(em);
  }

  /**
   * Undoes the writes of the session in the joined transactions, the innermost first. The transactions themselves stay
   * open.
   */
  async rollBack(): Promise<void> {
    for (const [em, { savepoint, outer }] of [...this.#joined].toReversed()) {
      if (!isOpen(outer)) {
        continue;
      }
      const { savepointName } = savepoint as { readonly savepointName: string };
      // Sent as a query, this is refused when the outer transaction has ended. Kysely's own command would go to its
      // connection, which another user of the pool may have by then.
      const send = (): Promise<unknown> =>
        em.getDriver().getConnection('write').execute(`rollback to savepoint ${savepointName}`, [], 'run', savepoint);
      const begun = begunOf(savepoint);
      try {
        await (begun?.asOwner(send) ?? send());
      } catch (error) {
        // The connection is lost, and the whole transaction with it. The owner of the transaction gets the error.
        if (begun?.lease?.loss.isTold !== true) {
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

/** Whether a transaction may be open. Always true for a savepoint that has begun. */
export function isOpen(transaction: Transaction): boolean {
  const { isCommitted, isRolledBack, [LOST]: isLost } = transaction as TransactionState;
  return !isCommitted && !isRolledBack && isLost !== true;
}

export function isCommitted(transaction: Transaction): boolean {
  return (transaction as TransactionState).isCommitted;
}

/** Remembers that a transaction was lost with its connection. Neither Kysely nor MikroORM records that. */
export function markLost(transaction: Transaction): void {
  (transaction as TransactionState)[LOST] = true;
}

/** Remembers a transaction whose connection was lost during its commit. */
export function markUnknown(transaction: Transaction): void {
  markLost(transaction);
  (transaction as TransactionState)[UNKNOWN] = true;
}

/**
 * Returns how a transaction ended after an error in it. The error itself does not show that: a hook can throw after the
 * commit, and the work can throw the unknown commit of another transaction.
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
