import type { MikroORM } from '@mikro-orm/core';

import type { DriverKnowledge } from './driver-knowledge.js';
import { isTransientMysqlError } from './mysql/mysql-errors.js';
import { mysqlKnowledge } from './mysql/mysql-knowledge.js';
import { isTransientSqliteError } from './sqlite/is-transient-sqlite-error.js';
import { sqliteKnowledge } from './sqlite/sqlite-knowledge.js';

/** Finds the properties of the driver of a connection. Undefined for PostgreSQL. */
export function findKnowledge({ driver }: Pick<MikroORM, 'driver'>): DriverKnowledge | undefined {
  const platform = driver.getPlatform();
  // Checks how the platform quotes a name: the names of classes may be minified.
  if (!platform.quoteIdentifier('name').startsWith('`')) {
    return undefined;
  }
  return platform.supportsUnsigned() ? mysqlKnowledge : sqliteKnowledge;
}

/** Whether an error of a database other than PostgreSQL means that the same work may succeed when it is repeated. */
export function isTransientDriverError(error: object): boolean {
  return isTransientMysqlError(error) || isTransientSqliteError(error);
}
