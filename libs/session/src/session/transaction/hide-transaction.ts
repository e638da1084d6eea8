import { type EntityManager, TransactionContext } from '@mikro-orm/core';

/**
 * Runs `work` so that an open transaction of the caller is not current there. Mostly there is none to hide.
 *
 * @param isolating a contextual EntityManager, which becomes current in place of the transaction
 */
export function hideTransaction<Result>(isolating: EntityManager, work: () => Result): Result {
  // Seam: mikro-orm/contexts
  return TransactionContext.currentTransactionContext() === undefined
    ? work()
    : TransactionContext.create(isolating, work);
}
