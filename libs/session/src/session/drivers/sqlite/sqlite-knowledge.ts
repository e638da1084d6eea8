import { IsolationLevel } from '@mikro-orm/core';

import { readProperty } from '../../read-property.js';
import type { DriverKnowledge } from '../driver-knowledge.js';
import { SqliteLinks } from './sqlite-links.js';

const CHANGE = /^[\s;]*(?:pragma|attach|detach|create\s+temp)/i;

const IN_MEMORY = /^(?:|:memory:|file::memory:.*|.*[?&]mode=memory.*)$/;

export const sqliteKnowledge: DriverKnowledge = {
  name: 'SQLite',
  unseen:
    'It has one connection, on which sessions take turns, a time-out or an abort ends no statement that runs, and what ' +
    'a session sets with PRAGMA, ATTACH or a temporary table stays for the next.',
  isolationLevel: IsolationLevel.SERIALIZABLE,
  lexis: {
    token: /'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|\/\*|;/gs,
    nameQuote: '`',
    body: /^create\s+(?:temp(?:orary)?\s+)?trigger\b(?!.*\bend$)/is,
    hasNestedComments: false,
  },
  remedy: 'do so before or after the transaction: SQLite has one connection',
  canReplace: false,
  limitOf: () => 1,
  limitTo: () => undefined,
  hasOwnInThreads: true,
  findThreadObstacle: (config) =>
    IN_MEMORY.test(String(config.get('dbName')))
      ? 'Each thread would have its own database in memory: give jobs with `threads` a database in a file.'
      : undefined,
  findImplicitCommit: () => undefined,
  changesConnection: (sql) => CHANGE.test(sql),
  endsConnection: (error) => readProperty(error, 'message') === 'The database connection is not open',
  hasRolledBack: async (_error, ask) => {
    try {
      await ask('begin');
    } catch {
      // A transaction is open, and SQLite has no second one in it.
      return false;
    }
    await ask('rollback');
    return true;
  },
  openLinks: (connection) => new SqliteLinks(connection),
};
