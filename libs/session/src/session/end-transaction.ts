import type { EntityManager, Transaction } from '@mikro-orm/core';

import { isLost } from './joined-transactions.js';
import type { TransactionEnd, TransactionOutcome } from './session-callbacks.js';
import type { SessionRecord } from './session-record.js';

/** Runs commit() or rollback(), and the callbacks for how the transaction ended: a hook can throw after that. */
export async function endTransaction(
  record: SessionRecord,
  em: EntityManager,
  operation: TransactionEnd,
  work: () => Promise<void>,
): Promise<void> {
  const { ledger } = record;
  if (record.isReading) {
    await record.closeStreams(em, operation);
  }
  const wasOpen = em.isInTransaction();
  const transaction: Transaction = em.getTransactionContext();
  let end: TransactionOutcome | undefined;
  try {
    await record.exclusive.run(em, operation, async () => {
      if (operation === 'commit') {
        ledger.assertCommittable(em);
      }
      try {
        await work();
      } catch (error) {
        end = wasOpen ? ledger.failToEnd(em, error) : undefined;
        if (operation === 'rollback' && isLost(transaction)) {
          // The connection was lost, and the transaction with it.
          em.resetTransactionContext();
          ledger.forget(em);
        }
        throw error;
      }
      ledger.forget(em);
      end = operation;
    });
  } finally {
    if (end !== undefined) {
      await record.settle(em, end);
    }
  }
}
