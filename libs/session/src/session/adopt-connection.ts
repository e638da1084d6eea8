import { IsolationLevel, type MikroORM } from '@mikro-orm/core';

import { findKnowledge } from './drivers/find-knowledge.js';
import { watchDriver } from './drivers/watch-driver.js';
import { keepSessionErrors } from './keep-session-errors.js';
import type { ConnectionPools } from './pool/connection-pools.js';
import { refuseBegin } from './pool/refuse-begin.js';
import { watchPools } from './pool/watch-pools.js';
import type { TransactionDefaults } from './transaction/begin-options.js';
import { guardStreams } from './transaction/guard-streams.js';
import { guardTransactionEnd } from './transaction/guard-transaction-end.js';
import { guardTransactionStart } from './transaction/guard-transaction-start.js';

/**
 * Makes the sessions follow the connections of the database, and guard their transactions.
 *
 * @returns what sessions cannot see or do with this database
 */
export async function adoptConnection(
  orm: MikroORM,
  connections: ConnectionPools,
  defaults: TransactionDefaults | undefined,
): Promise<string | undefined> {
  const connection = orm.driver.getConnection('write');
  const knowledge = findKnowledge(orm);
  let notice: string | undefined;
  if (knowledge === undefined) {
    connections.followHooks(connection, orm);
    connections.expectsPool = await watchPools(orm, (pool) => connections.follow(pool));
  } else {
    notice = watchDriver(orm, knowledge, connections);
  }
  guardTransactionStart(connection, connections.beginnings, {
    defaults,
    isolationLevel: knowledge?.isolationLevel ?? IsolationLevel.READ_COMMITTED,
  });
  guardTransactionEnd(connection);
  guardStreams(connection);
  refuseBegin(connection, knowledge?.lexis);
  keepSessionErrors(orm);
  return notice;
}
