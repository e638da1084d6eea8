import type { EntityManager, Transaction } from '@mikro-orm/core';

import type { ConnectionHolder } from '../pool/connection-holder.js';
import { ForkHolder } from '../pool/fork-holder.js';
import type { LiveScope } from '../scope/live-scope.js';
import type { Roster } from '../scope/roster.js';
import { failedEnd, isSavepoint } from './joined-transactions.js';
import type { TransactionOutcome } from './session-callbacks.js';
import type { SessionTransactions } from './session-transactions.js';
import type { TransactionFrames } from './transaction-frames.js';

interface ForkTransactionsOptions {
  readonly frames: TransactionFrames;
  readonly holders: Roster<ConnectionHolder>;
  readonly scopes: { readonly current: LiveScope | undefined };
  /**
   * Returns the transactions of the session of a scope. Undefined where it has no session, or none with a transaction
   * so far.
   */
  readonly transactionsIn: (scope: LiveScope) => Pick<SessionTransactions, 'settleCallbacks'> | undefined;
}

/** Follows the `transactional()` calls of EntityManagers without a session. */
export class ForkTransactions {
  constructor(private readonly options: ForkTransactionsOptions) {}

  /**
   * Runs such a call. Inside it, the session of the current scope and the application's EntityManager stand for its
   * transaction.
   */
  async run<Em extends EntityManager, Result>(
    em: Em,
    work: (inner: Em) => Result | Promise<Result>,
    transactional: (work: (inner: Em) => Promise<Result>) => Promise<Result>,
  ): Promise<Result> {
    const { frames, scopes } = this.options;
    const scope = scopes.current?.state === 'open' ? scopes.current : undefined;
    const around: Transaction = em.isInTransaction() ? em.getTransactionContext() : undefined;
    let fork: Em | undefined;
    let transaction: Transaction;
    const settle = async (end: TransactionOutcome): Promise<void> => {
      if (fork !== undefined && scope?.state === 'open') {
        await this.options.transactionsIn(scope)?.settleCallbacks(fork, end);
      }
    };
    let result: Result;
    try {
      result = await frames.run(em, (frame) =>
        transactional(async (inner) => {
          fork = inner;
          transaction = inner.getTransactionContext();
          frame.em = inner;
          frame.within = scope;
          return this.#hold(inner, around, work);
        }),
      );
    } catch (error) {
      await settle(failedEnd(transaction));
      throw error;
    }
    await settle('commit');
    return result;
  }

  /** Runs the block, and registers it as a holder of a connection: there is no session that would be registered. */
  async #hold<Em extends EntityManager, Result>(
    em: Em,
    around: Transaction,
    work: (em: Em) => Result | Promise<Result>,
  ): Promise<Result> {
    const transaction = em.getTransactionContext();
    if (transaction === undefined || transaction === around || isSavepoint(transaction)) {
      return work(em);
    }
    const { holders } = this.options;
    const holder = new ForkHolder(em, transaction);
    holders.add(holder);
    try {
      return await work(em);
    } finally {
      holders.delete(holder);
    }
  }
}
