import { type EntityManager, TransactionContext } from '@mikro-orm/core';

/**
 * Runs `work` where no transaction is current that the caller may have open. Mostly there is none to hide.
 *
 * @param isolating a contextual EntityManager, which stands in the place of the transaction
 */
export function hideTransaction<Result>(isolating: EntityManager, work: () => Result): Result {
  // Seam: mikro-orm/contexts
  return TransactionContext.currentTransactionContext() === undefined
    ? work()
    : TransactionContext.create(isolating, work);
}
