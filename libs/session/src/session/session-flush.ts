import type { EntityManager } from '@mikro-orm/core';

import { failedEnd } from './joined-transactions.js';
import type { TransactionEnd } from './session-callbacks.js';
import type { SessionRecord } from './session-record.js';

/** Runs a flush in an open transaction, which can but be rolled back when it fails. */
export async function flushWithin(record: SessionRecord, em: EntityManager, flush: () => Promise<void>): Promise<void> {
  try {
    await record.enterFlush(em, flush);
  } catch (error) {
    record.ledger.fail(em, error);
    throw error;
  }
}

/** Runs a flush that makes a transaction for itself, and the callbacks of that. */
export async function flushAlone(record: SessionRecord, em: EntityManager, flush: () => Promise<void>): Promise<void> {
  record.ledger.flushing.set(em, undefined);
  record.transactionUndos.beginFlush(em);
  try {
    await record.enterFlush(em, flush);
  } catch (error) {
    await settleFlush(record, em, 'rollback');
    throw error;
  }
  await settleFlush(record, em, 'commit');
}

/** Settles what a flush on its own has ended. A hook can throw after the commit, and it can have made no transaction. */
async function settleFlush(record: SessionRecord, em: EntityManager, end: TransactionEnd): Promise<void> {
  const { flushing } = record.ledger;
  const transaction = flushing.get(em);
  flushing.delete(em);
  if (transaction !== undefined) {
    await record.settle(em, end === 'commit' ? end : failedEnd(transaction));
    return;
  }
  // Each statement was committed by itself.
  record.settleRows(em, 'commit');
  if (end === 'rollback') {
    await record.settleCallbacks(em, end);
  }
}
