import { IsolationLevel } from '@mikro-orm/core';

import { readProperty } from '../../read-property.js';
import type { DriverKnowledge } from '../driver-knowledge.js';
import { endsMysqlConnection, rollsBackMysql } from './mysql-errors.js';
import { changesMysqlConnection, findMysqlCommit, mysqlLexis } from './mysql-lexis.js';
import { MysqlLinks } from './mysql-links.js';

/** The default number of connections of mysql2. */
const DEFAULT_LIMIT = 10;

export const mysqlKnowledge: DriverKnowledge = {
  name: 'MariaDB or MySQL',
  unseen:
    'A transaction takes its connection when it begins. The wait for an answer that the network has lost goes on until a ' +
    'time-out, an abort or TCP ends it.',
  unseenWithoutPool:
    'a connection that is lost, and a transaction that a statement or a procedure has ended or left open, are not seen.',
  isolationLevel: IsolationLevel.REPEATABLE_READ,
  lexis: mysqlLexis,
  canReplace: true,
  limitOf: (config) =>
    Number(readProperty(config.get('driverOptions'), 'connectionLimit') ?? config.get('pool')?.max ?? DEFAULT_LIMIT),
  limitTo: (config, limit) => {
    const options: unknown = config.get('driverOptions');
    config.set('pool', { ...config.get('pool'), max: limit });
    if (readProperty(options, 'connectionLimit') !== undefined) {
      config.set('driverOptions', { ...(options as object), connectionLimit: limit });
    }
  },
  hasOwnInThreads: false,
  findThreadObstacle: () => undefined,
  findImplicitCommit: findMysqlCommit,
  changesConnection: changesMysqlConnection,
  endsConnection: endsMysqlConnection,
  hasRolledBack: async (error, ask) => {
    const answer = rollsBackMysql(error);
    if (answer !== 'as set') {
      return answer === 'always';
    }
    const [row] = await ask('select @@innodb_rollback_on_timeout as answer');
    return Number(row?.['answer']) === 1;
  },
  openLinks: (connection, config) => new MysqlLinks(connection, () => mysqlKnowledge.limitOf(config)),
};
