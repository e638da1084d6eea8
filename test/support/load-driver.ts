import { type Options, PostgreSqlDriver } from '@mikro-orm/postgresql';

type DriverClass = new (...args: ConstructorParameters<typeof PostgreSqlDriver>) => PostgreSqlDriver;

interface LoadedDriver {
  /** Of any database: tests take its EntityManager for that of PostgreSQL, whose methods they use are those of all. */
  readonly driver: DriverClass;
  /** What gives a row where there are tables: without any they need no comparison, which takes longer than to make them. */
  readonly isEmpty: string;
}

/** Finds the driver for a URL, or for the file of SQLite. */
export async function loadDriver(databaseUrl: string): Promise<LoadedDriver> {
  if (databaseUrl.startsWith('mysql:')) {
    const { MariaDbDriver } = await import('@mikro-orm/mariadb');
    return { driver: MariaDbDriver as unknown as DriverClass, isEmpty: 'show tables' };
  }
  if (databaseUrl.startsWith('/')) {
    const { SqliteDriver } = await import('@mikro-orm/sqlite');
    return {
      driver: SqliteDriver as unknown as DriverClass,
      isEmpty: 'select 1 from sqlite_master limit 1',
    };
  }
  return {
    driver: PostgreSqlDriver,
    isEmpty: 'select from pg_tables where schemaname = current_schema() limit 1',
  };
}

export function placeOf(databaseUrl: string): Pick<Options, 'clientUrl' | 'dbName'> {
  return databaseUrl.startsWith('/') ? { dbName: databaseUrl } : { clientUrl: databaseUrl };
}
