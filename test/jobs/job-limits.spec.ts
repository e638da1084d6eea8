import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';

import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService, JobTimeoutError, SessionClosedError, SessionFactory, SessionRegistry } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const sleeping = `
  select count(*)::int as count from pg_stat_activity
  where datname = current_database() and state = 'active' and query like '%pg_sleep%' and pid <> pg_backend_pid()`;

const inTransaction = `
  select count(*)::int as count from pg_stat_activity
  where datname = current_database() and xact_start is not null and pid <> pg_backend_pid()`;

describe('the end of a job before its worker ends', () => {
  let database: TestDatabase;
  let app: TestApp;
  let jobs: JobService<EntityManager>;
  let console: jest.SpyInstance;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({ databaseUrl: database.url });
    jobs = app.get(JobService);
    // Kysely says there that the statement it has cancelled was cancelled.
    console = import.meta.jest.spyOn(globalThis.console, 'error').mockImplementation();
  });

  afterEach(() => database.query('delete from note'));

  afterAll(async () => {
    console.mockRestore();
    await app.close();
    await database.drop();
  });

  const count = async (sql: string): Promise<number | undefined> =>
    (await database.query<{ count: number }>(sql))[0]?.count;
  const countNotes = (): Promise<number | undefined> => count('select count(*)::int as count from note');

  /** Runs a statement in a transaction, which is rolled back in the end. */
  const hold = async (sql: string): Promise<AsyncDisposable> => {
    const session = app.get<SessionFactory<EntityManager>>(SessionFactory).create();
    await session.begin();
    await session.execute(sql);
    return session;
  };

  const writeAndSleep = async (session: EntityManager, text: string): Promise<void> => {
    session.create(Note, { text });
    await session.flush();
    await session.execute('select pg_sleep(60)');
  };

  it('comes with its time-out: the statement is cancelled on the server, the transaction rolled back', async () => {
    const outcomes = await jobs.settle(
      ['slow', 'quick'],
      async (session, text) => {
        await (text === 'slow' ? writeAndSleep(session, text) : session.execute('select 1'));
      },
      { timeout: 1_000 },
    );

    expect(outcomes).toMatchObject([
      { status: 'rejected', ending: 'timeout', reason: expect.any(JobTimeoutError), attempts: 1 },
      { status: 'fulfilled' },
    ]);
    expect(outcomes).toMatchObject([{ reason: { code: 'JOB_TIMED_OUT', timeout: 1_000 } }, {}]);
    expect([await count(sleeping), await count(inTransaction), await countNotes()]).toEqual([0, 0, 0]);
  });

  it('comes with the signal, for all running jobs at once, and no further job begins', async () => {
    const cancel = new AbortController();

    const running = jobs.settle(['a', 'b', 'c'], writeAndSleep, { concurrency: 2, signal: cancel.signal });
    await database.until(`select count = 2 from (${sleeping}) as sleeping`);
    cancel.abort(new Error('enough'));

    expect(await running).toMatchObject([
      { status: 'rejected', ending: 'aborted', reason: { message: 'enough' }, attempts: 1 },
      { status: 'rejected', ending: 'aborted', reason: { message: 'enough' }, attempts: 1 },
      { status: 'rejected', ending: 'aborted', reason: { message: 'enough' }, attempts: 0 },
    ]);
    expect([await count(sleeping), await count(inTransaction), await countNotes()]).toEqual([0, 0, 0]);
  });

  it('cancels a flush that waits for a lock, and a query builder, in and outside of a transaction', async () => {
    await using _lock = await hold('lock table note in exclusive mode');
    const insert = (session: EntityManager, text: string): unknown => {
      session.create(Note, { text });
      return session.flush();
    };
    const build = (session: EntityManager): unknown =>
      session.createQueryBuilder(Note).update({ text: 'x' }).where({ tenant: 'a' }).execute();

    const outcomes = [
      ...(await jobs.settle(['a'], insert, { timeout: 50 })),
      ...(await jobs.settle(['b'], insert, { timeout: 50, transaction: 'none' })),
      ...(await jobs.settle(['c'], build, { timeout: 50 })),
      ...(await jobs.settle(['d'], (session) => session.transactional(() => build(session)), {
        timeout: 50,
        transaction: 'none',
      })),
    ];
    const open = await count(inTransaction);

    expect(outcomes.map((outcome) => outcome.status === 'rejected' && outcome.ending)).toEqual(
      Array(4).fill('timeout'),
    );
    expect([open, await countNotes()]).toEqual([1, 0]);
  });

  it.each(['job', 'none'] as const)(
    'takes the session from a worker that goes on regardless (transaction: %s)',
    async (transaction) => {
      const gate = Promise.withResolvers<void>();
      const later = Promise.withResolvers<unknown>();

      const [outcome] = await jobs.settle(
        ['late'],
        async (session, text) => {
          await gate.promise;
          try {
            session.create(Note, { text });
          } catch (error) {
            later.resolve(error);
            throw error;
          }
        },
        { timeout: 20, transaction },
      );
      gate.resolve();
      const error = await later.promise;
      // An unhandled rejection would be reported by now.
      await nextTurn();

      expect(outcome).toMatchObject({ status: 'rejected', ending: 'timeout' });
      expect(error).toBeInstanceOf(SessionClosedError);
      expect(error).toMatchObject({
        message: expect.stringContaining('The session of "job 0 of worker" was used after its end: its time was up.'),
      });
      expect(await countNotes()).toBe(0);
    },
  );

  it('rejects a job whose worker returns in spite of it', async () => {
    const run = async (transaction: 'job' | 'none'): Promise<unknown> => {
      const cancel = new AbortController();
      const [outcome] = await jobs.settle(
        [1],
        async (_session, _n, { signal }) => {
          setImmediate(() => cancel.abort());
          await once(signal, 'abort');
          return 'early';
        },
        { signal: cancel.signal, transaction },
      );
      return outcome;
    };

    expect(await run('job')).toMatchObject({ status: 'rejected', ending: 'aborted', reason: { name: 'AbortError' } });
    expect(await run('none')).toMatchObject({ status: 'rejected', ending: 'aborted', reason: { name: 'AbortError' } });
  });

  it('does not reach a job that is about to commit, which ends as its commit does', async () => {
    await database.query('alter table note add constraint one unique (text) deferrable initially deferred');
    const other = await hold(`insert into note (text) values ('a')`);

    const running = jobs.settle(['a'], (session, text) => void session.create(Note, { text }), { timeout: 50 });
    // The commit checks the constraint, and so waits for the other transaction.
    await database.until(`
      select count(*) = 1 from pg_stat_activity
      where query = 'commit' and wait_event_type = 'Lock' and clock_timestamp() - query_start > '100 ms'`);
    await other[Symbol.asyncDispose]();

    expect(await running).toMatchObject([{ status: 'fulfilled' }]);
    expect(await countNotes()).toBe(1);
    await database.query('alter table note drop constraint one');
  });

  it('gives the connection back that a job was waiting for', async () => {
    const held = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    let waiting = 5;
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    const holders = Array.from({ length: 5 }, () =>
      factory.begin(async (session) => {
        await session.execute('select 1');
        waiting -= 1;
        if (waiting === 0) {
          begun.resolve();
        }
        return held.promise;
      }),
    );
    await begun.promise;

    const begin = await jobs.settle([1], (session) => session.count(Note), { timeout: 20 });
    const block = await jobs.settle([1], (session) => session.transactional((inner) => inner.count(Note)), {
      timeout: 20,
      transaction: 'none',
    });
    held.resolve();
    await Promise.all(holders);
    const after = await jobs.map(Array(10).keys(), (session) => session.count(Note), { concurrency: 5 });

    expect([...begin, ...block]).toMatchObject([{ ending: 'timeout' }, { ending: 'timeout' }]);
    expect(after).toEqual(Array(10).fill(0));
    await database.until(`select count = 0 from (${inTransaction}) as open`);
    expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
  });

  it('leaves no timer behind, also where no transaction could begin', async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const run = (): Promise<{ status: string }[]> => jobs.settle([1], () => 0, { timeout: 60_000 });
    await run();
    const before = timers();
    const connection = app.orm.em.getDriver().getConnection();
    const refusal = import.meta.jest.spyOn(connection, 'begin').mockRejectedValueOnce(new Error('no'));

    const outcomes = await run();

    refusal.mockRestore();
    expect(outcomes).toMatchObject([{ status: 'rejected', ending: 'failed' }]);
    expect(timers()).toBe(before);
  });

  it('gives each attempt its time, and makes another where told to', async () => {
    const [outcome] = await jobs.settle(
      ['a'],
      async (session, text, { attempt }) => {
        await (attempt === 1 ? writeAndSleep(session, text) : session.create(Note, { text: 'second' }));
      },
      { timeout: 100, retry: { delay: 1, when: (error) => error instanceof JobTimeoutError } },
    );

    expect(outcome).toMatchObject({ status: 'fulfilled', attempts: 2 });
    expect(await database.query('select text from note')).toEqual([{ text: 'second' }]);
  });

  it('tells the job and the blocks in it through their signals', async () => {
    const [outcome] = await jobs.settle(
      [1],
      async (_session, _n, { signal }) => {
        await once(signal, 'abort');
        throw signal.reason;
      },
      { timeout: 20 },
    );

    expect(outcome).toMatchObject({ status: 'rejected', ending: 'timeout', reason: expect.any(JobTimeoutError) });
  });

  it('says how a job came to be rejected that just failed', async () => {
    const work = (): never => {
      throw new Error('no');
    };

    expect(await jobs.settle([1], work)).toMatchObject([{ ending: 'failed' }]);
    expect(await jobs.settle([1], work, { timeout: 1_000 })).toMatchObject([{ ending: 'failed' }]);
  });

  it('lets running jobs finish when the application shuts down, also those with a time-out', async () => {
    const own = await startTestApp({ databaseUrl: database.url });
    const begun = Promise.withResolvers<void>();

    const outcomes = own.get<JobService<EntityManager>>(JobService).settle(
      ['a', 'b'],
      async (session, text, { signal }) => {
        begun.resolve();
        await once(signal, 'abort');
        session.create(Note, { text });
      },
      { concurrency: 1, timeout: 60_000 },
    );
    await begun.promise;
    await own.close();

    expect(await outcomes).toMatchObject([
      { status: 'fulfilled' },
      { status: 'rejected', ending: 'aborted', attempts: 0 },
    ]);
    expect(await countNotes()).toBe(1);
  });
});
