import type { EntityManager } from '@mikro-orm/postgresql';
import { ConnectionLostError, SessionFactory } from 'nestjs-mikro-session';

import { catchPool } from '../support/catch-pool.js';
import { NetworkProxy } from '../support/network-proxy.js';
import { Note } from '../support/note.entity.js';
import { poll } from '../support/poll.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const POOL_SIZE = 2;

describe('a connection that the server has ended', () => {
  let database: TestDatabase;
  let app: TestApp;
  let factory: SessionFactory<EntityManager>;
  let pool: { readonly idleCount: number; readonly totalCount: number };

  beforeAll(async () => {
    database = await createTestDatabase();
    const caught = catchPool();
    app = await startTestApp({
      databaseUrl: database.url,
      orm: { pool: { min: 0, max: POOL_SIZE }, ...caught.options },
    });
    factory = app.get(SessionFactory);
    pool = await caught.pool;
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  const pidOf = async (session: EntityManager): Promise<number> => {
    const [{ pid }] = await session.execute<[{ pid: number }]>('select pg_backend_pid() as pid');
    return pid;
  };

  /** Waits until the application has read the farewell of the server to the one connection that is in use. */
  const isHeard = (): Promise<void> =>
    poll('the connection has left the pool', async () => pool.idleCount === pool.totalCount);

  const terminate = async (pid: number): Promise<void> => {
    await database.query('select pg_terminate_backend($1)', [pid]);
    await isHeard();
  };

  const serves = async (): Promise<void> => {
    const all = Array.from({ length: POOL_SIZE }, () => factory.begin((session) => session.execute('select 1 as one')));
    expect(await Promise.all(all)).toEqual(Array.from({ length: POOL_SIZE }, () => [{ one: 1 }]));
  };

  it('tells that a transaction was idle for too long, and what to do', async () => {
    const work = factory.begin(
      async (session) => {
        await session.execute('set local idle_in_transaction_session_timeout = 20');
        await isHeard();
        await session.insert(Note, { text: 'late' });
      },
      { label: 'the import' },
    );

    await expect(work).rejects.toThrow(
      'The connection of "the import" was lost before this statement: PostgreSQL said "terminating connection due to ' +
        'idle-in-transaction timeout" (25P03). What was not committed is rolled back. Wait only for the database ' +
        'within a transaction, or raise `idle_in_transaction_session_timeout`.',
    );
    await expect(work).rejects.toMatchObject({ code: 'CONNECTION_LOST', cause: { code: '25P03' } });
    await serves();
  });

  it('tells so to the commit too', async () => {
    const work = factory.run(async (session) => {
      await session.begin();
      await session.execute('set local idle_in_transaction_session_timeout = 20');
      await isHeard();
      await session.commit();
    });

    await expect(work).rejects.toMatchObject({ code: 'CONNECTION_LOST', cause: { code: '25P03' } });
    await serves();
  });

  it('tells that an administrator ended it', async () => {
    const work = factory.begin(async (session) => {
      await terminate(await pidOf(session));
      await session.insert(Note, { text: 'late' });
    });

    await expect(work).rejects.toThrow(ConnectionLostError);
    await expect(work).rejects.toMatchObject({ cause: { code: '57P01' } });
    await serves();
  });

  it('goes on telling it', async () => {
    await factory.run(async (session) => {
      await session.begin();
      await terminate(await pidOf(session));

      await expect(session.execute('select 1')).rejects.toThrow('(57P01)');
      await expect(session.execute('select 1')).rejects.toThrow('(57P01)');
      await session.rollback();
      expect(session.isInTransaction()).toBe(false);
    });
    await serves();
  });

  it.each([
    ['begin()', (session: EntityManager) => session.begin()],
    ['begin() and a flush', async (session: EntityManager) => (await session.begin(), session.flush())],
  ])('is over with the rollback() that finds it gone, after %s', async (_name, begin) => {
    const network = await NetworkProxy.start(database.url);
    const other = await startTestApp({ databaseUrl: network.url });

    await other.get<SessionFactory<EntityManager>>(SessionFactory).run(async (session) => {
      await begin(session);
      await session.execute('select 1');
      void network.once('statement', /^rollback$/, (link) => link.cut());

      await expect(session.rollback()).rejects.toThrow(/ECONNRESET|Connection terminated/);

      expect(session.isInTransaction()).toBe(false);
      await session.begin();
      await session.commit();
    });
    await other.close();
    await network.close();
  });

  it('is not given to anybody once it has answered as a replica', async () => {
    const pids = new Set<number>();
    await factory.run(async (session) => {
      await session.begin();
      await session.execute('set transaction read only');
      pids.add(await pidOf(session));
      await expect(session.insert(Note, { text: 'refused' })).rejects.toMatchObject({ code: '25006' });
      await session.rollback();
    });

    for (let i = 0; i < POOL_SIZE; i += 1) {
      pids.add(await factory.run(pidOf));
    }

    expect(pids.size).toBe(2);
  });

  it('stays in the pool when its transaction asked to be read-only', async () => {
    const pids = new Set<number>();
    await factory.run(async (session) => {
      await session.begin({ readOnly: true });
      pids.add(await pidOf(session));
      await expect(session.insert(Note, { text: 'refused' })).rejects.toMatchObject({ code: '25006' });
      await session.rollback();
    });

    pids.add(await factory.run(pidOf));

    expect(pids.size).toBe(1);
  });
});
