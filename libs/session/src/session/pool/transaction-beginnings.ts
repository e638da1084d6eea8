import { AsyncLocalStorage } from 'node:async_hooks';

import type { Transaction } from '@mikro-orm/core';

import { BegunTransaction, begunOf, type LeaseOwner, setBegun } from './begun-transaction.js';

/** Keeps the transactions that are being begun for EntityManagers, and connects each with its BegunTransaction. */
export class TransactionBeginnings {
  readonly #beginning = new AsyncLocalStorage<BegunTransaction>();

  /** @param onUnseen called when a transaction has begun whose connection is not known */
  constructor(private readonly onUnseen: () => void) {}

  /** The transaction that the running code begins. Undefined after its BEGIN statement was seen. */
  get unclaimed(): BegunTransaction | undefined {
    const begun = this.#beginning.getStore();
    return begun?.isClaimed === false ? begun : undefined;
  }

  /** Begins a transaction of an EntityManager, or a savepoint in one. */
  async begin(owner: LeaseOwner, around: Transaction, begin: () => Promise<Transaction>): Promise<Transaction> {
    const begun = begunOf(around) ?? new BegunTransaction(owner);
    const transaction = await begun.asOwner(() => this.#beginning.run(begun, begin));
    setBegun(transaction, begun);
    if (around === undefined && !begun.isClaimed) {
      this.onUnseen();
    }
    return transaction;
  }

  /** Connects a transaction with its BegunTransaction early: its begin may still fail. */
  started(transaction: Transaction): void {
    setBegun(transaction, this.#beginning.getStore());
  }

  /** Runs the statements with which MikroORM configures a transaction that is being begun. */
  async setting(work: () => Promise<void>): Promise<void> {
    const begun = this.#beginning.getStore();
    await (begun?.whileBeingSet(work) ?? work());
  }
}
