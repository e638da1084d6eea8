import { type EntityManager, TransactionContext } from '@mikro-orm/core';
import { type Db, fromKysely, type KyselyTransactionLike } from 'pg-boss';

import type { SessionSource } from '../session/session-source.js';

/** Runs the statements of pg-boss in the open transaction of an EntityManager. */
export function inTransactionOf(em: EntityManager): Db {
  return fromKysely(em.getTransactionContext<KyselyTransactionLike>() as KyselyTransactionLike);
}

/**
 * Finds the transaction that the running code is in, savepoints included.
 *
 * @throws {SessionClosedError} in code that outlived its scope: it would write what was rolled back
 */
export function findOpenTransaction(source: SessionSource): Db | undefined {
  const em = findEntityManager(source);
  return em?.isInTransaction() === true ? inTransactionOf(em) : undefined;
}

function findEntityManager(source: SessionSource): EntityManager | undefined {
  const scope = source.currentScope;
  if (scope === undefined) {
    return TransactionContext.getEntityManager(source.orm.em.name);
  }
  scope.assertOpen();
  return scope.has(source) ? source.contextual : undefined;
}
