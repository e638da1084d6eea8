import { threadId as mainThreadId } from 'node:worker_threads';

import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService, SessionFactory } from 'nestjs-mikro-session';

import { findTexts } from '../support/find-texts.js';
import type { TestDatabase } from '../support/test-database.js';
import {
  LockWorker,
  NestingWorker,
  SignalWorker,
  TroubleWorker,
  type Whereabouts,
  WhereWorker,
} from './app/thread.workers.js';
import { ThreadStage } from './support/thread-stage.js';

// An application starts in each new thread.
import.meta.jest.setTimeout(60_000);

describe('the threads of jobs', () => {
  let stage: ThreadStage;
  let database: TestDatabase;
  let jobs: JobService<EntityManager>;

  beforeAll(async () => {
    stage = await ThreadStage.set();
    ({ database, jobs } = stage);
  }, 60_000);

  afterEach(() => database.query('delete from note'));

  afterAll(() => stage.clear());

  const texts = (): Promise<string[]> => findTexts(database, 'text');

  const distinct = <Key extends keyof Whereabouts>(found: readonly Whereabouts[], key: Key): Set<Whereabouts[Key]> =>
    new Set(found.map((where) => where[key]));

  /** Holds an advisory lock, so that what waits for it stays where it is. */
  async function hold(lock: number): Promise<() => Promise<unknown>> {
    await database.query('select pg_advisory_lock($1)', [lock]);
    return () => database.query('select pg_advisory_unlock($1)', [lock]);
  }

  /** Locks are those of all databases of the server. */
  const WAITING = `from pg_locks join pg_database on oid = database
    where datname = current_database() and locktype = 'advisory' and not granted`;

  const untilWaiting = (count: number): Promise<void> => database.until(`select count(*) >= ${count} ${WAITING}`);

  it('are not that of the application, and each job has a session and a transaction there', async () => {
    const found = await jobs.map([1, 2, 3, 4], WhereWorker, {
      threads: 2,
      label: 'searches',
      info: { tenant: 'a', since: new Date(0) },
      transaction: { isolationLevel: 'repeatable read' },
    });

    expect(distinct(found, 'threadId').size).toBe(2);
    expect(distinct(found, 'threadId')).not.toContain(mainThreadId);
    expect(distinct(found, 'scopeId').size).toBe(4);
    expect(found.map(({ label }) => label)).toEqual([0, 1, 2, 3].map((index) => `job ${index} of searches`));
    expect(found).toEqual(
      found.map((where) => ({
        ...where,
        info: { tenant: 'a', since: new Date(0) },
        transactionIsolation: 'repeatable read',
        isOwnRequest: true,
      })),
    );
  });

  it('give jobs the info of the scope that starts them', async () => {
    const [where] = await stage.app
      .get<SessionFactory>(SessionFactory)
      .run(() => jobs.map([1], WhereWorker, { threads: 1 }), { info: { tenant: 'b' } });

    expect(where?.info).toEqual({ tenant: 'b' });
  });

  it('stay from run to run', async () => {
    const first = await jobs.map([1, 2, 3, 4], WhereWorker, { threads: 2 });
    const second = await jobs.map([1, 2, 3, 4], WhereWorker, { threads: 2 });
    const fewer = await jobs.map([1, 2, 3, 4], WhereWorker, { threads: 1 });

    expect(distinct(second, 'threadId')).toEqual(distinct(first, 'threadId'));
    expect(distinct(fewer, 'threadId').size).toBe(1);
    expect(distinct(first, 'threadId')).toContain(fewer[0]?.threadId);
  });

  it('have as many connections together as the pool of the application, however many runs they have', async () => {
    const unlock = await hold(1);
    const start = (): Promise<Pick<Whereabouts, 'threadId' | 'pid'>[]> =>
      jobs.map(Array<number>(10).fill(1), LockWorker, { threads: 2, concurrency: 5 });

    const running = Promise.all([start(), start()]);
    await untilWaiting(4);
    await unlock();
    const found = (await running).flat();

    // Of five connections two threads have two each.
    expect(new Set(found.map(({ pid }) => pid)).size).toBe(4);
    expect(new Set(found.map((where) => where.threadId)).size).toBe(2);
  });

  it('run no more jobs at once than they have connections', async () => {
    let read = 0;
    function* locks(): Generator<number> {
      for (; read < 20; read += 1) {
        yield 1;
      }
    }
    const unlock = await hold(1);

    const running = jobs.map(locks(), LockWorker, { threads: 2, concurrency: 20 });
    await untilWaiting(4);
    const readBefore = read;
    await unlock();

    expect(await running).toHaveLength(20);
    expect(readBefore).toBe(3);
  });

  it('are as many as the largest run has asked for, with smaller shares, once the jobs of the others have ended', async () => {
    const own = await stage.startAnother();
    const ownJobs = own.get<JobService<EntityManager>>(JobService);
    const unlock = await hold(2);
    const first = ownJobs.map([2, 2], LockWorker, { threads: 1 });
    await untilWaiting(2);

    const more = await ownJobs.map(Array(20).keys(), WhereWorker, { threads: 2, concurrency: 20 });
    await unlock();
    const old = await first;

    expect(distinct(more, 'threadId').size).toBe(2);
    expect(distinct(more, 'threadId')).not.toContain(old[0]?.threadId);
    await database.until(
      `select count(*) = 0 from pg_stat_activity where pid in (${old.map(({ pid }) => pid).join()})`,
    );
    await own.close();
  });

  it('are those of one application', async () => {
    const other = await stage.startAnother();

    const here = await jobs.map([1], WhereWorker, { threads: 1 });
    const there = await other.get<JobService<EntityManager>>(JobService).map([1], WhereWorker, { threads: 1 });
    await other.close();

    expect(here[0]?.threadId).not.toBe(there[0]?.threadId);
    expect(await jobs.map([1], WhereWorker, { threads: 1 })).toHaveLength(1);
  });

  it('close their applications, and give their connections back, when the application shuts down', async () => {
    const own = await stage.startAnother({ data: { saysFarewell: true } });
    const found = await own.get<JobService<EntityManager>>(JobService).map([1, 2], WhereWorker, { threads: 2 });
    const pids = [...distinct(found, 'pid')].join();
    const count = `select count(*)::int from pg_stat_activity where pid in (${pids})`;
    const before = await database.query(count);

    await own.close();

    expect(before).toEqual([{ count: 2 }]);
    expect(await texts()).toEqual(['farewell', 'farewell']);
    await database.until(`select count(*) = 0 from pg_stat_activity where pid in (${pids})`);
  });

  it('keep the jobs that a worker starts there', async () => {
    const [ids = []] = await jobs.map([1], NestingWorker, { threads: 1, transaction: 'none' });

    expect(ids).toHaveLength(3);
    expect(new Set(ids).size).toBe(1);
    expect(ids).not.toContain(mainThreadId);
  });

  it('run jobs of a stream', async () => {
    const found: Whereabouts[] = [];
    for await (const outcome of jobs.stream(Array(50).keys(), WhereWorker, { threads: 2, chunkSize: 3 })) {
      expect(outcome).toMatchObject({ status: 'fulfilled', index: found.length });
      if (outcome.status === 'fulfilled') {
        found.push(outcome.value);
      }
    }

    expect(found).toHaveLength(50);
    expect(distinct(found, 'threadId').size).toBe(2);
  });

  it('run no job for no inputs', async () => {
    expect(await jobs.settle([], WhereWorker, { threads: 2 })).toEqual([]);
  });

  it('report progress and start no further job after the first that failed, if told so', async () => {
    const seen: number[] = [];

    const outcomes = await jobs.settle(['none', 'function', 'none'], TroubleWorker, {
      threads: 2,
      concurrency: 1,
      stopOnError: true,
      onProgress: ({ done, failed }) => seen.push(done + failed),
      progressInterval: 0,
    });

    expect(outcomes).toMatchObject([
      { status: 'fulfilled', attempts: 1 },
      { status: 'rejected', ending: 'failed', attempts: 1 },
      { status: 'rejected', ending: 'aborted', attempts: 0 },
    ]);
    expect(seen.at(-1)).toBe(2);
  });

  it('let jobs have all the time there is', async () => {
    const outcomes = await jobs.settle([1, 2], WhereWorker, { threads: 1, timeout: 2 ** 31 - 1, chunkSize: 2 });

    expect(outcomes).toMatchObject([{ status: 'fulfilled' }, { status: 'fulfilled' }]);
  });

  it('cancel on the server what a time-out ends', async () => {
    const unlock = await hold(3);

    const [outcome] = await jobs.settle([3], LockWorker, { threads: 1, timeout: 300 });

    const waiting = await database.query(`select 1 ${WAITING}`);
    await unlock();
    expect(outcome).toMatchObject({ ending: 'timeout', reason: { code: 'JOB_TIMED_OUT', timeout: 300 } });
    expect(waiting).toEqual([]);
    expect(await texts()).toEqual([]);
  });

  it('cancel on the server what a signal aborts, with the reason of the signal', async () => {
    const unlock = await hold(4);
    const cancel = new AbortController();
    const reason = new Error('enough');

    const running = jobs.settle([4, 4, 4], LockWorker, { threads: 2, concurrency: 2, signal: cancel.signal });
    await untilWaiting(2);
    cancel.abort(reason);
    const outcomes = await running;

    const waiting = await database.query(`select 1 ${WAITING}`);
    await unlock();
    expect(outcomes).toMatchObject([
      { ending: 'aborted', attempts: 1 },
      { ending: 'aborted', attempts: 1 },
      { ending: 'aborted', attempts: 0 },
    ]);
    expect(outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason === reason)).toEqual([
      true,
      true,
      true,
    ]);
    expect(waiting).toEqual([]);
    expect(await texts()).toEqual([]);
  });

  it('let jobs finish that are only told to', async () => {
    const cancel = new AbortController();
    const running = jobs.settle(['a', 'b'], SignalWorker, {
      threads: 1,
      concurrency: 1,
      signal: cancel.signal,
      whenAborted: 'finish',
    });
    await database.until(`select count(*) = 1 from pg_stat_activity where application_name = 'waits'`);

    cancel.abort(new Error('hurry'));

    expect(await running).toMatchObject([
      { status: 'fulfilled', value: 'Error: hurry' },
      { status: 'rejected', ending: 'aborted', attempts: 0 },
    ]);
    expect(await texts()).toEqual(['a']);
  });

  it('tell jobs that the application shuts down, and wait for them', async () => {
    const own = await stage.startAnother();
    const running = own.get<JobService<EntityManager>>(JobService).map(['c'], SignalWorker, { threads: 1 });
    await database.until(`select count(*) = 1 from pg_stat_activity where application_name = 'waits'`);

    await own.close();

    expect(await running).toEqual(['AbortError: The application is shutting down']);
    expect(await texts()).toEqual(['c']);
  });

  it.each([
    ['before', (cancel: AbortController) => cancel.abort()],
    ['while its threads start', (cancel: AbortController) => setImmediate(() => cancel.abort())],
  ])('begin no job of a run that is aborted %s', async (_when, abort) => {
    const own = await stage.startAnother();
    const cancel = new AbortController();
    abort(cancel);

    const outcomes = await own
      .get<JobService<EntityManager>>(JobService)
      .settle([1, 2], WhereWorker, { threads: 2, signal: cancel.signal });
    await own.close();

    expect(outcomes).toMatchObject([
      { ending: 'aborted', attempts: 0 },
      { ending: 'aborted', attempts: 0 },
    ]);
  });

  it('begin no job that waits for a new thread when the run is aborted', async () => {
    const cancel = new AbortController();

    const outcomes = await jobs.settle(['process.exit', 'none'] as const, TroubleWorker, {
      threads: 1,
      concurrency: 1,
      signal: cancel.signal,
      onProgress: () => setImmediate(() => cancel.abort()),
    });

    expect(outcomes).toMatchObject([
      { ending: 'failed', attempts: 1 },
      { ending: 'aborted', attempts: 0 },
    ]);
  });

  it('begin no job when the application shuts down while they start', async () => {
    const own = await stage.startAnother();
    const running = own.get<JobService<EntityManager>>(JobService).settle([1], WhereWorker, { threads: 1 });

    await own.close();

    expect(await running).toMatchObject([{ ending: 'aborted', attempts: 0 }]);
  });
});
