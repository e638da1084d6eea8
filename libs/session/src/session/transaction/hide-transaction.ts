import { type EntityManager, TransactionContext } from '@mikro-orm/core';

/**
 * Runs `work` where no transaction is current that the caller may have open. Mostly there is none to hide.
 *
 * @param shield a contextual EntityManager, which stands in the place of the transaction
 */
export function hideTransaction<Result>(shield: EntityManager, work: () => Result): Result {
  // Seam: mikro-orm/contexts
  return TransactionContext.currentTransactionContext() === undefined
    ? work()
    : TransactionContext.create(shield, work);
}
