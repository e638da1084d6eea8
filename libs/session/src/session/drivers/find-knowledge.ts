import type { MikroORM } from '@mikro-orm/core';

import type { DriverKnowledge } from './driver-knowledge.js';
import { isPassingMysqlTrouble } from './mysql/mysql-errors.js';
import { mysqlKnowledge } from './mysql/mysql-knowledge.js';
import { isPassingSqliteTrouble } from './sqlite/sqlite-errors.js';
import { sqliteKnowledge } from './sqlite/sqlite-knowledge.js';

/** Finds what is known of the driver of a connection, unless it is one of PostgreSQL. */
export function findKnowledge({ driver }: Pick<MikroORM, 'driver'>): DriverKnowledge | undefined {
  const platform = driver.getPlatform();
  // The names of classes may be minified. The way to write a name is not.
  if (!platform.quoteIdentifier('name').startsWith('`')) {
    return undefined;
  }
  return platform.supportsUnsigned() ? mysqlKnowledge : sqliteKnowledge;
}

/** Whether the same work may succeed when it is done again, as an error of another database than PostgreSQL says. */
export function isPassingTrouble(error: object): boolean {
  return isPassingMysqlTrouble(error) || isPassingSqliteTrouble(error);
}
