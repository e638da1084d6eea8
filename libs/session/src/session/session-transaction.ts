import { type EntityManager, TransactionPropagation, type TransactionOptions } from '@mikro-orm/core';

import type { TransactionEnd } from './session-callbacks.js';
import type { SessionRecord } from './session-record.js';

const JOINING: ReadonlySet<unknown> = new Set([
  TransactionPropagation.REQUIRED,
  TransactionPropagation.SUPPORTS,
  TransactionPropagation.MANDATORY,
]);

/** Tells whether a `transactional()` call runs its block in the open transaction, without a savepoint of its own. */
export function isJoining(em: EntityManager, { propagation }: TransactionOptions): boolean {
  return JOINING.has(propagation) && em.isInTransaction();
}

/**
 * Runs one `transactional()` call of a session and then the callbacks that wait for its end. The callbacks registered
 * within a savepoint wait on for the transaction around it.
 */
export async function inTransaction<Em extends EntityManager, Result>(
  record: SessionRecord,
  em: Em,
  { propagation }: TransactionOptions,
  work: (inner: Em) => Result | Promise<Result>,
  transactional: (work: (inner: Em) => Promise<Result>) => Promise<Result>,
): Promise<Result> {
  const isOutermost = !em.isInTransaction() || propagation === TransactionPropagation.REQUIRES_NEW;
  const enter = record.transactionUndos.prepare(em);
  let inner = em;
  let result: Result;
  try {
    result = await record.enter(em, (frame) =>
      transactional(async (fork) => {
        inner = fork;
        frame.em = fork;
        if (fork !== em) {
          record.ledger.managed.add(fork);
          if (fork.isInTransaction()) {
            enter(fork);
          }
        }
        const returned = await readOut(record, fork, work);
        if (fork !== em) {
          record.ledger.assertCommittable(fork);
        }
        return returned;
      }),
    );
  } catch (error) {
    forget();
    // A call that was refused, or a savepoint that could not be made, ends nothing of the transaction around it.
    if (inner !== em || !em.isInTransaction()) {
      const end = inner === em ? 'rollback' : record.ledger.failedEnd(inner);
      record.settleRows(inner, end);
      await record.settleCallbacks(settle(), end);
    }
    throw error;
  }
  forget();
  if (isOutermost) {
    record.settleRows(inner, 'commit');
  }
  const ended = settle();
  if (isOutermost) {
    await record.settleCallbacks(ended, 'commit');
  } else {
    record.release(ended, em);
  }
  return result;

  function forget(): void {
    if (inner !== em) {
      record.ledger.forget(inner);
    }
  }

  /** Gives the EntityManager whose callbacks this end concerns: with the outermost one also those that waited for it. */
  function settle(): Em {
    if (em.isInTransaction()) {
      return inner;
    }
    record.release(inner, em);
    return em;
  }
}

/** Runs the work of a block, and closes the streams of its transaction that are half read when it ends. */
async function readOut<Em extends EntityManager, Result>(
  record: SessionRecord,
  em: Em,
  work: (em: Em) => Result | Promise<Result>,
): Promise<Result> {
  let end: TransactionEnd = 'rollback';
  try {
    const result = await work(em);
    end = 'commit';
    return result;
  } finally {
    if (record.isReading) {
      await record.closeStreams(em, end);
    }
  }
}
