import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService, SessionContext, SessionFactory, SessionRegistry } from 'nestjs-mikro-session';

import { findMariadbUrl } from '../../support/databases/mariadb-database.js';
import { startTestApp, type TestApp, type TestAppOptions } from '../../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.js';
import type { TestDriver } from '../../support/test-driver.js';

/** An application over a database other than PostgreSQL. */
export interface DriverApp extends TestApp {
  readonly database: TestDatabase;
  readonly factory: SessionFactory<EntityManager>;
  readonly context: SessionContext<EntityManager>;
  readonly jobs: JobService<EntityManager>;
  readonly registry: SessionRegistry;
  /** The texts of all notes. */
  texts(): Promise<string[]>;
  close(): Promise<void>;
}

const hasMariadb = (await findMariadbUrl()) !== undefined;
if (!hasMariadb) {
  process.stderr.write('MariaDB is not tested: set MARIADB_URL, for example to mysql://root@127.0.0.1:3306.\n');
}

/** The drivers other than PostgreSQL's that can be tested here. */
export const otherDrivers: readonly TestDriver[] = hasMariadb ? ['mariadb', 'sqlite'] : ['sqlite'];

/** As `describe`, where there is a MariaDB. */
export const describeMariadb = hasMariadb ? describe : describe.skip;

export async function startDriverApp(
  driver: TestDriver,
  { port, ...options }: Omit<TestAppOptions, 'databaseUrl'> & { readonly port?: number } = {},
): Promise<DriverApp> {
  const database = await createTestDatabase(driver);
  const databaseUrl = port === undefined ? database.url : withPort(database.url, port);
  const app = await startTestApp({ databaseUrl, ...options });
  return {
    ...app,
    database,
    factory: app.get(SessionFactory),
    context: app.get(SessionContext),
    jobs: app.get(JobService),
    registry: app.get(SessionRegistry),
    texts: async () =>
      (await database.query<{ text: string }>('select text from note order by id')).map(({ text }) => text),
    async close() {
      await app.close();
      await database.drop();
    },
  };
}

function withPort(address: string, port: number): string {
  const url = new URL(address);
  url.port = String(port);
  return url.href;
}
