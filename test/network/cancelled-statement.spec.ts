import type { EntityManager } from '@mikro-orm/postgresql';
import { SessionFactory } from 'nestjs-mikro-session';

import { type Act, NetworkProxy } from '../support/network-proxy.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const POOL_SIZE = 2;
/** How long the statement takes whose cancelling fails. */
const SECONDS = 0.3;

describe('the connection on which a running statement is cancelled', () => {
  let database: TestDatabase;
  let network: NetworkProxy;
  let app: TestApp;
  let factory: SessionFactory<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    network = await NetworkProxy.start(database.url);
    app = await startTestApp({ databaseUrl: network.url, orm: { pool: { min: 0, max: POOL_SIZE } } });
    factory = app.get(SessionFactory);
  });

  afterAll(async () => {
    await app.close();
    await network.close();
    await database.drop();
  });

  beforeEach(() => {
    // Kysely prints what happens to an aborted statement.
    import.meta.jest.spyOn(console, 'error').mockImplementation(() => undefined);
  });

  afterEach(() => {
    import.meta.jest.restoreAllMocks();
  });

  const serves = async (): Promise<void> => {
    const all = Array.from({ length: POOL_SIZE }, () => factory.begin((session) => session.execute('select 1 as one')));
    expect(await Promise.all(all)).toEqual(Array.from({ length: POOL_SIZE }, () => [{ one: 1 }]));
  };

  /** Ends the one connection that has had no other statement. */
  const terminateIt: Act = async () => {
    await database.query(`
      select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()
        and (query = '' or query ~ '^select pg_(cancel|terminate)_backend')`);
  };

  const faults: [fault: string, moment: 'statement' | 'answer', act: Act][] = [
    ['the network cuts it before its statement', 'statement', (link) => link.cut()],
    ['the network cuts it before its answer', 'answer', (link) => link.cut()],
    ['the server ends it before its statement', 'statement', terminateIt],
    ['the server ends it after its statement', 'answer', terminateIt],
  ];

  describe.each(['cancel query', 'kill session'] as const)('by "%s"', (inflightQueryAbortStrategy) => {
    it.each(faults)('may be lost: %s', async (_fault, moment, act) => {
      const stop = new AbortController();
      void network.once('statement', /pg_sleep/, () => stop.abort(new Error('stopped by the test')));
      const isLost = network.once(moment, /pg_(?:cancel|terminate)_backend/, act);

      const work = factory.run((session) => session.execute('select pg_sleep(?)', [SECONDS]), {
        fork: { signal: stop.signal, inflightQueryAbortStrategy },
      });

      await expect(work).rejects.toThrow('stopped by the test');
      await isLost;
      await serves();
    });
  });
});
