import { getTestDriver, type TestDriver } from './test-driver.ts';

interface Executing {
  execute<Rows extends object[]>(sql: string): Promise<Rows>;
}

/** A database of its own for one test file, with a client of its own to look at it from outside. */
export interface TestDatabase {
  readonly driver: TestDriver;
  readonly url: string;
  /** @param values take the places of `$1` and so on */
  query<Row extends object>(sql: string, values?: unknown[]): Promise<Row[]>;
  /** Polls until the query gives `true` in its first column. */
  until(sql: string, values?: unknown[]): Promise<void>;
  /** Empties tables, and lets their keys begin anew. */
  empty(...tables: string[]): Promise<void>;
  /** How many transactions are open while no statement of them runs. */
  countOpenTransactions(): Promise<number>;
  /** Polls until no transaction is open. */
  untilNoTransaction(): Promise<void>;
  /** The connection that runs the statements of an EntityManager. */
  connectionOf(em: Executing): Promise<number>;
  /** Ends a connection, and waits until it has ended. */
  terminate(connection: number): Promise<void>;
  /** Fails when the tests left a connection open. */
  drop(): Promise<void>;
}

/** Makes a database on the server of the driver that is asked for: without a word, that of `TEST_DRIVER`. */
export async function createTestDatabase(driver: TestDriver = getTestDriver()): Promise<TestDatabase> {
  switch (driver) {
    case 'postgresql': {
      const { createPostgresDatabase } = await import('./databases/postgres-database.ts');
      return createPostgresDatabase();
    }
    case 'mariadb': {
      const { createMariadbDatabase } = await import('./databases/mariadb-database.ts');
      return createMariadbDatabase();
    }
    case 'sqlite': {
      const { createSqliteDatabase } = await import('./databases/sqlite-database.ts');
      return createSqliteDatabase();
    }
  }
}
