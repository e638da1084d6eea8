import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService } from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { NetworkProxy } from '../support/network-proxy.js';
import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

describe('the log of a job that is retried because its connection was lost', () => {
  let database: TestDatabase;
  let network: NetworkProxy;
  let app: TestApp;
  let jobs: JobService<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    network = await NetworkProxy.start(database.url);
    app = await startTestApp({ databaseUrl: network.url, orm: { pool: { min: 0, max: 2 } } });
    jobs = app.get(JobService);
    await app.orm.em.fork().insertMany(
      Note,
      Array.from({ length: 300 }, () => ({ text: 'a' })),
    );
  });

  afterAll(async () => {
    await app.close();
    await network.close();
    await database.drop();
  });

  const transient = (): Error => Object.assign(new Error('conflict'), { code: '40001' });

  async function terminate(session: EntityManager): Promise<void> {
    const [{ pid }] = await session.execute<[{ pid: number }]>('select pg_backend_pid() as pid');
    await database.query('select pg_terminate_backend($1)', [pid]);
    await database.until('select not exists (select from pg_stat_activity where pid = $1)', [pid]);
  }

  it.each<[string, (session: EntityManager) => Promise<unknown>]>([
    [
      'between two statements',
      async (session) => {
        await terminate(session);
        await session.execute('select 1');
      },
    ],
    ['by the server during a statement', (session) => session.execute('select pg_terminate_backend(pg_backend_pid())')],
    [
      'by the network during a statement',
      (session) => {
        void network.once('statement', /a flush/, (link) => link.cut());
        return session.execute(`select 'a flush'`);
      },
    ],
    [
      'during its rollback',
      async (session) => {
        await session.execute('select 1');
        void network.once('statement', /^rollback$/, (link) => link.cut());
        throw transient();
      },
    ],
    [
      'with a half-read stream',
      async (session) => {
        await session.stream(Note, {})[Symbol.asyncIterator]().next();
        network.cut();
        throw transient();
      },
    ],
  ])('is empty where it was lost %s', async (_name, lose) => {
    using log = new CapturedLog();

    const [outcome] = await jobs.settle(
      ['input'],
      async (session, _input, { attempt }) => {
        if (attempt === 1) {
          await lose(session);
        }
      },
      { retry: { delay: 1 } },
    );

    expect(outcome).toMatchObject({ status: 'fulfilled', attempts: 2 });
    expect({ warnings: log.warnings, errors: log.errors }).toEqual({ warnings: [], errors: [] });
  });

  it('is empty where the transaction was that of somebody else', async () => {
    using log = new CapturedLog();
    const other = (app.orm.em as EntityManager).fork();

    const [outcome] = await jobs.settle(
      ['input'],
      async (session, _input, { attempt }) => {
        if (attempt === 1) {
          await other.begin();
          await session.begin({ ctx: other.getTransactionContext<object>() });
          await session.execute('select 1');
          network.cut();
          throw transient();
        }
      },
      { retry: { delay: 1 }, transaction: 'none' },
    );

    // Whoever began it is told.
    await expect(other.commit()).rejects.toThrow(/ECONNRESET|Connection terminated|was lost/);
    expect(outcome).toMatchObject({ status: 'fulfilled', attempts: 2 });
    expect({ warnings: log.warnings, errors: log.errors }).toEqual({ warnings: [], errors: [] });
  });
});
