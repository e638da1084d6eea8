import type { EntityManager } from '@mikro-orm/core';

import type { TransactionEnd } from './session-callbacks.js';
import type { SessionRecord } from './session-record.js';

/** Runs commit() or rollback(), and the callbacks for how the transaction ended: a hook can throw after that. */
export async function endTransaction(
  record: SessionRecord,
  em: EntityManager,
  operation: TransactionEnd,
  work: () => Promise<void>,
): Promise<void> {
  const { ledger } = record;
  const wasOpen = em.isInTransaction();
  let end: TransactionEnd | undefined;
  try {
    await record.exclusive.run(em, operation, async () => {
      if (operation === 'commit') {
        ledger.assertCommittable(em);
      }
      try {
        await work();
      } catch (error) {
        end = wasOpen ? ledger.failToEnd(em, error) : undefined;
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
