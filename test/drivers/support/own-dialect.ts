import { createRequire } from 'node:module';

import type { Options } from '@mikro-orm/postgresql';
import { createPool } from 'mysql2';

type DriverOptions = NonNullable<Options['driverOptions']>;

interface Kysely {
  readonly MysqlDialect: new (options: object) => DriverOptions;
}

const require = createRequire(import.meta.url);
const { MysqlDialect } = createRequire(require.resolve('@mikro-orm/mysql'))('kysely') as Kysely;

/** Makes the dialect that a user would give as `driverOptions`, with one connection. */
export function createOwnDialect(uri: string): DriverOptions {
  return new MysqlDialect({ pool: createPool({ uri, connectionLimit: 1 }) });
}
