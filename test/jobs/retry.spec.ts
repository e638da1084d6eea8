import type { EntityManager } from '@mikro-orm/postgresql';
import { isTransientError, JobService } from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { findTexts } from '../support/find-texts.js';
import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

describe('the retries of a job', () => {
  let database: TestDatabase;
  let app: TestApp;
  let jobs: JobService<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    // A thousand commits one after the other would wait for the disk.
    await database.query(`
      do $$ begin execute format('alter database %I set synchronous_commit = off', current_database()); end $$`);
    app = await startTestApp({ databaseUrl: database.url, orm: { pool: { min: 0, max: 8 } } });
    jobs = app.get(JobService);
  });

  afterEach(() => database.query('delete from note'));

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  const texts = (): Promise<string[]> => findTexts(database, 'text');

  const transient = (): Error => Object.assign(new Error('conflict'), { code: '40001' });

  it('each have a session and a transaction of their own', async () => {
    const sessions: EntityManager[] = [];

    const [outcome] = await jobs.settle(
      ['a'],
      async (session, text, { attempt }) => {
        sessions.push(session);
        session.create(Note, { text: `${text}${attempt}` });
        await session.flush();
        if (attempt < 3) {
          throw transient();
        }
        return [attempt, await session.count(Note)];
      },
      { retry: { delay: 1 } },
    );

    expect(outcome).toMatchObject({ status: 'fulfilled', value: [3, 1], attempts: 3 });
    expect(new Set(sessions).size).toBe(3);
    expect(await texts()).toEqual(['a3']);
  });

  it('let serializable transactions that conflict end as if one had run after the other', async () => {
    const { id } = await app.orm.em.fork().transactional(async (em) => em.create(Note, { text: '0' }));

    const outcomes = await jobs.settle(
      Array(300).keys(),
      async (session) => {
        const note = await session.findOneOrFail(Note, id);
        note.text = String(Number(note.text) + 1);
      },
      {
        concurrency: 8,
        transaction: { isolationLevel: 'serializable' },
        retry: { limit: 1_000, delay: 2, backoff: 1, jitter: 1 },
      },
    );

    expect(outcomes.filter(({ status }) => status === 'rejected')).toEqual([]);
    expect(Math.max(...outcomes.map(({ attempts }) => attempts))).toBeGreaterThan(1);
    expect(await texts()).toEqual(['300']);
  }, 60_000);

  it('go on after the connection was lost', async () => {
    using _log = new CapturedLog();
    const pids: number[] = [];

    const [outcome] = await jobs.settle(
      ['a'],
      async (session, text, { attempt }) => {
        session.create(Note, { text });
        await session.flush();
        const [{ pid }] = await session.execute<[{ pid: number }]>('select pg_backend_pid() as pid');
        pids.push(pid);
        if (attempt === 1) {
          await database.query('select pg_terminate_backend($1)', [pid]);
          await session.execute('select 1');
        }
      },
      { retry: { delay: 1 } },
    );

    expect(outcome).toMatchObject({ status: 'fulfilled', attempts: 2 });
    expect(pids[0]).not.toBe(pids[1]);
    expect(await texts()).toEqual(['a']);
  });

  it('end after the limit, with the last error', async () => {
    const [outcome] = await jobs.settle(
      [1],
      (_session, _n, { attempt }) => {
        throw Object.assign(transient(), { attempt });
      },
      { retry: { limit: 2, delay: 1 } },
    );

    expect(outcome).toMatchObject({ status: 'rejected', ending: 'failed', reason: { attempt: 3 }, attempts: 3 });
  });

  it('are not made unless asked for, and not for errors that would come again', async () => {
    const fail = (error: () => Error, options = {}): Promise<unknown> =>
      jobs.settle(
        [1],
        () => {
          throw error();
        },
        options,
      );

    const unasked = await fail(transient);
    const ordinary = await fail(() => new Error('always'), { retry: { delay: 1 } });
    const violation = await fail(() => Object.assign(new Error('unique'), { code: '23505' }), { retry: { delay: 1 } });

    expect([unasked, ordinary, violation]).toMatchObject([[{ attempts: 1 }], [{ attempts: 1 }], [{ attempts: 1 }]]);
  });

  it('are made for what `when` says', async () => {
    const [outcome] = await jobs.settle(
      [1],
      (_session, _n, { attempt }) => {
        if (attempt === 1) {
          throw new RangeError('once');
        }
      },
      { retry: { delay: 1, when: (error) => error instanceof RangeError } },
    );

    expect(outcome).toMatchObject({ status: 'fulfilled', attempts: 2 });
  });

  it.each(['job', 'none'] as const)('are not made any more once the signal has aborted (%s)', async (transaction) => {
    const cancel = new AbortController();
    const work = (): never => {
      setImmediate(() => cancel.abort());
      throw transient();
    };

    const [outcome] = await jobs.settle([1], work, {
      transaction,
      signal: cancel.signal,
      retry: { delay: 60_000 },
    });

    expect(outcome).toMatchObject({ status: 'rejected', ending: 'failed', reason: { code: '40001' }, attempts: 1 });
  });

  it('do not wait longer than told, and longer each time', async () => {
    const times: number[] = [];

    await jobs.settle(
      [1],
      () => {
        times.push(performance.now());
        throw transient();
      },
      { retry: { limit: 3, delay: 10, backoff: 3, jitter: 0 } },
    );

    const waits = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    expect(waits.map((wait, index) => wait >= 10 * 3 ** index - 2)).toEqual([true, true, true]);
  });
});

describe('isTransientError', () => {
  const coded = (code: string, message = 'it failed'): Error => Object.assign(new Error(message), { code });

  it.each(['40001', '40P01', '08006', '08P01', '57P01', '57P02', '57P03', 'ECONNRESET', 'ECONNREFUSED', 'EPIPE'])(
    'is true of the code %s',
    (code) => {
      expect(isTransientError(coded(code))).toBe(true);
    },
  );

  it('is true of a connection that node-postgres found broken, and of every address that refused', () => {
    expect(isTransientError(new Error('Connection terminated unexpectedly'))).toBe(true);
    expect(isTransientError(new AggregateError([coded('ECONNREFUSED')]))).toBe(true);
  });

  it.each(['53300', '53200', '57P05', '55P03', '25006', 'EAI_AGAIN', 'ENETUNREACH'])(
    'is true of the code %s',
    (code) => {
      expect(isTransientError(coded(code))).toBe(true);
    },
  );

  it.each(['25P03', '25P04', '53100', 'ENOENT', '08007', '40003', 'COMMIT_UNKNOWN'])(
    'is false of the code %s',
    (code) => {
      expect(isTransientError(coded(code))).toBe(false);
    },
  );

  it('is true of a socket that is not there, and of a wait for a connection that was given up', () => {
    expect(isTransientError(Object.assign(coded('ENOENT'), { syscall: 'connect' }))).toBe(true);
    expect(isTransientError(new Error('timeout exceeded when trying to connect'))).toBe(true);
  });

  it('is false of a commit whose end is unknown, wherever it is found', () => {
    const unknown = coded('COMMIT_UNKNOWN');

    expect(isTransientError(Object.assign(new Error('x', { cause: unknown }), { code: '40001' }))).toBe(false);
    expect(isTransientError(new AggregateError([coded('40001'), unknown]))).toBe(false);
    expect(isTransientError(new AggregateError([coded('40001')]))).toBe(true);
  });

  it('is true of an error that has such an SQL state as its cause', () => {
    expect(isTransientError(new Error('could not pay', { cause: coded('40001') }))).toBe(true);
  });

  it.each([
    ['a constraint violation', coded('23505')],
    ['a cancelled statement', coded('57014')],
    ['an HTTP request whose connection broke', new TypeError('fetch failed', { cause: coded('ECONNRESET') })],
    ['an ordinary error', new Error('no')],
    ['nothing', undefined],
  ])('is false of %s', (_what, error) => {
    expect(isTransientError(error)).toBe(false);
  });
});
