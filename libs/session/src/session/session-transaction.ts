import { type EntityManager, TransactionPropagation, type TransactionOptions } from '@mikro-orm/core';

import type { SessionRecord } from './session-record.js';

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
  let inner = em;
  let result: Result;
  try {
    result = await transactional(async (fork) => {
      inner = fork;
      return record.enter(fork, () => work(fork));
    });
  } catch (error) {
    await record.runHooks(settle(), 'rollback');
    throw error;
  }
  const ended = settle();
  if (isOutermost) {
    await record.runHooks(ended, 'commit');
  } else {
    record.hooks.move(ended, em);
  }
  return result;

  /** Gives the EntityManager whose callbacks this end concerns: with the outermost one also those that waited for it. */
  function settle(): Em {
    if (em.isInTransaction()) {
      return inner;
    }
    record.hooks.move(inner, em);
    return em;
  }
}
