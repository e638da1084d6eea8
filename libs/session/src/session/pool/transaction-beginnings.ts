import { AsyncLocalStorage } from 'node:async_hooks';

import type { Transaction } from '@mikro-orm/core';

import { BegunTransaction, begunOf, type LeaseOwner, setBegun } from './begun-transaction.js';

/** Knows which transaction the running code begins for an EntityManager, and remembers what each one runs on. */
export class TransactionBeginnings {
  readonly #beginning = new AsyncLocalStorage<BegunTransaction>();

  /** @param onUnseen called where a transaction has begun whose connection nobody knows */
  constructor(private readonly onUnseen: () => void) {}

  /** The transaction that the running code begins, until the statement by which it does so is seen. */
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

  /** Remembers what a transaction runs on that is being begun, whose begin may fail yet. */
  started(transaction: Transaction): void {
    setBegun(transaction, this.#beginning.getStore());
  }

  /** Runs the statements by which MikroORM sets a transaction that is being begun. */
  async setting(work: () => Promise<void>): Promise<void> {
    const begun = this.#beginning.getStore();
    await (begun?.whileBeingSet(work) ?? work());
  }
}
