import { SessionRegistry } from 'nestjs-mikro-session';

import { poll } from './poll.js';
import { startTestApp, type TestApp, type TestAppOptions } from './test-app.js';
import { createTestDatabase, type TestDatabase } from './test-database.js';

type OwnOptions = Omit<TestAppOptions, 'databaseUrl'>;

interface Used {
  readonly app: TestApp;
  readonly database: TestDatabase;
}

/**
 * Makes a database and starts an application for the tests of a `describe`, and closes and drops them at its end. Both
 * can be named from the beginning, and are there once the hooks and tests run.
 *
 * After each test it waits until no scope lives and no transaction is open, and fails a test that has left one. Hooks run
 * in the order they are registered: what a test leaves on purpose is ended by an `afterEach` before this call.
 *
 * @param options of the application, or what makes them when the database is there
 */
export function useTestApp(
  options: OwnOptions | ((database: TestDatabase) => OwnOptions | Promise<OwnOptions>) = {},
): Used {
  let database: TestDatabase | undefined;
  let app: TestApp | undefined;

  beforeAll(async () => {
    database = await createTestDatabase();
    const own = typeof options === 'function' ? await options(database) : options;
    app = await startTestApp({ ...own, databaseUrl: database.url });
  });

  afterEach(async () => {
    if (app === undefined || database === undefined) {
      return;
    }
    const registry = app.get<SessionRegistry>(SessionRegistry);
    const labels = registry.list().map(({ label }) => `"${label}"`);
    await poll(`no scope lives, also not ${labels.join(', ')}`, () => Promise.resolve(registry.list().length === 0));
    // MariaDB looks at its transactions ten times a second, which is too seldom to ask after each test.
    if (database.driver !== 'mariadb') {
      await database.untilNoTransaction();
    }
  });

  afterAll(async () => {
    await app?.close();
    await database?.drop();
  });

  return { app: late(() => app), database: late(() => database) };
}

/** Stands for an object that is there later. */
function late<Target extends object>(find: () => Target | undefined): Target {
  return new Proxy({} as Target, {
    get(_target, name) {
      const found = find();
      if (found === undefined) {
        throw new Error(`"${String(name)}" was read before the hooks of the tests have run.`);
      }
      return Reflect.get(found, name) as unknown;
    },
  });
}
