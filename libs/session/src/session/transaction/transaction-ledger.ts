import { type EntityManager, type Transaction, TransactionEventBroadcaster } from '@mikro-orm/core';

import { failedEnd, isCommitted, isLost, isOpen, isSavepoint, JoinedTransactions } from './joined-transactions.js';
import { begunOf } from '../pool/begun-transaction.js';
import type { TransactionOutcome } from './session-callbacks.js';

/** Keeps the transactions of one session: which are open, who ends them, and which can only be rolled back. */
export class TransactionLedger {
  /** The EntityManagers whose transaction is ended by the block that began it. */
  readonly managed = new Set<EntityManager>();
  /** The EntityManagers in a flush that began its own transaction, with that transaction. */
  readonly flushing = new Map<EntityManager, Transaction>();
  readonly #transactions = new Map<EntityManager, Transaction>();
  /** The error of the first failed flush in the open transaction of each EntityManager. */
  #failures: WeakMap<EntityManager, { readonly error: unknown }> | undefined;
  #joined: JoinedTransactions | undefined;

  /** The transactions of others that the session has joined. */
  get joined(): JoinedTransactions {
    return (this.#joined ??= new JoinedTransactions());
  }

  /** The EntityManagers that have, or had, a transaction of their own. */
  get managers(): EntityManager[] {
    return [...this.#transactions.keys()];
  }

  /** The transactions that hold a connection now. A transaction has none before its first statement. */
  get holding(): [EntityManager, Transaction][] {
    return this.open.filter(([, transaction]) => begunOf(transaction)?.holdsConnection !== false);
  }

  /** The number of open transactions and savepoints. */
  get depth(): number {
    return [...this.#transactions.values()].filter((transaction) => isOpen(transaction)).length;
  }

  /** The open transactions, without savepoints. */
  get open(): [EntityManager, Transaction][] {
    return [...this.#transactions].filter(([, transaction]) => isOpen(transaction) && !isSavepoint(transaction));
  }

  /** Remembers a transaction, to roll it back if the session ends first. */
  track(em: EntityManager, transaction: Transaction): void {
    if (this.#transactions.get(em) === transaction) {
      return;
    }
    for (const [known, open] of this.#transactions) {
      if (!isOpen(open)) {
        this.#transactions.delete(known);
      }
    }
    this.#transactions.set(em, transaction);
    if (this.flushing.has(em)) {
      this.flushing.set(em, transaction);
    }
  }

  /** Returns the last transaction of an EntityManager, if it had one. */
  transactionOf(em: EntityManager): unknown {
    return this.#transactions.get(em);
  }

  /** Returns how the last transaction of an EntityManager ended after an error in it. */
  failedEnd(em: EntityManager): TransactionOutcome {
    return failedEnd(this.#transactions.get(em));
  }

  /**
   * Forgets the savepoint of an EntityManager. Kysely records the end of a transaction, but not that of a savepoint.
   */
  forget(em: EntityManager): void {
    const transaction = this.#transactions.get(em);
    if (transaction !== undefined && isSavepoint(transaction)) {
      this.#transactions.delete(em);
    }
    this.#failures?.delete(em);
    this.#joined?.forget(em);
    this.managed.delete(em);
  }

  /** Remembers a failure after which the open transaction of an EntityManager can only be rolled back. */
  fail(em: EntityManager, error: unknown): void {
    this.#failures ??= new WeakMap();
    if (!this.#failures.has(em)) {
      this.#failures.set(em, { error });
    }
  }

  /**
   * Remembers a commit that failed. Returns how the transaction ended, or undefined while it is open: a hook may have
   * thrown after the end.
   */
  failToEnd(em: EntityManager, error: unknown): TransactionOutcome | undefined {
    const transaction = this.#transactions.get(em);
    if (transaction === undefined || isOpen(transaction)) {
      return undefined;
    }
    if (isCommitted(transaction)) {
      em.resetTransactionContext();
      this.forget(em);
      return 'commit';
    }
    this.#failures ??= new WeakMap();
    this.#failures.set(em, { error });
    return failedEnd(transaction);
  }

  /** @throws the error of a flush that failed in the open transaction. A commit would lose the changes of that flush */
  assertCommittable(em: EntityManager): void {
    const failure = this.#failures?.get(em);
    if (failure !== undefined) {
      throw failure.error;
    }
  }

  /**
   * Rolls back the joined transactions, and then the own ones. Returns the EntityManagers concerned, and the first
   * error.
   */
  async rollBack(): Promise<{ readonly managers: EntityManager[]; readonly error: unknown }> {
    const { open } = this;
    const joinedManagers = this.#joined?.managers ?? [];
    if (open.length === 0 && joinedManagers.length === 0) {
      return { managers: [], error: undefined };
    }
    const managers = [...joinedManagers, ...open.map(([em]) => em)];
    const [joined] = await Promise.allSettled([this.#joined?.rollBack()]);
    const own = await Promise.allSettled(open.map(([em, transaction]) => rollBack(em, transaction)));
    const failed = [joined, ...own].find((result) => result.status === 'rejected');
    return { managers, error: failed?.reason };
  }
}

/** Rolls back, even when a subscriber to the rollback throws. Throws the error of the subscriber at the end. */
async function rollBack(em: EntityManager, transaction: Transaction): Promise<void> {
  const connection = em.getConnection('write');
  try {
    await connection.rollback(transaction, new TransactionEventBroadcaster(em));
  } catch (error) {
    if (isOpen(transaction)) {
      await connection.rollback(transaction).catch(() => undefined);
    }
    // The transaction is gone with its connection, which is as good as a rollback.
    if (!isLost(transaction)) {
      throw error;
    }
  }
}
