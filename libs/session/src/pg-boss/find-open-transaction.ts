import type { Connection, EntityManager } from '@mikro-orm/core';
import { type Db, fromKysely, type KyselyTransactionLike } from 'pg-boss';

import type { SessionSource } from '../session/session-source.js';

/** Returns a `db` for pg-boss that runs its statements in the open transaction of an EntityManager. */
export function inTransactionOf(em: EntityManager): Db {
  return fromKysely(em.getTransactionContext<KyselyTransactionLike>() as KyselyTransactionLike);
}

/**
 * Finds the transaction or savepoint that the running code is in. In a test there is always one.
 *
 * @throws {SessionClosedError} in code that outlived its scope: its transaction has ended
 */
export function findOpenTransaction(source: SessionSource): Db | undefined {
  const em = findEntityManager(source);
  if (em?.isInTransaction() === true) {
    return inTransactionOf(em);
  }
  return source.isInTest ? onConnectionOf(source) : undefined;
}

/** Whether the running code is in a transaction, apart from that of a test. */
export function isInOpenTransaction(source: SessionSource): boolean {
  return findEntityManager(source)?.isInTransaction() === true;
}

/** Returns a `db` on the connection of the test. Work on the own connections of pg-boss would not be rolled back. */
export function onConnectionOf({ orm }: SessionSource): Db {
  const connection = orm.driver.getConnection('write') as Connection & { getClient(): KyselyTransactionLike };
  return fromKysely(connection.getClient());
}

function findEntityManager(source: SessionSource): EntityManager | undefined {
  const scope = source.currentScope;
  scope?.assertOpen();
  return scope?.has(source) === true ? source.contextual : source.blockWithoutSession;
}
