import { once } from 'node:events';
import { BroadcastChannel } from 'node:worker_threads';

import type { EntityManager } from '@mikro-orm/postgresql';
import {
  JobCloneError,
  type JobOptions,
  JobService,
  JobThreadError,
  JobTimeoutError,
  SessionSetupError,
  type ThreadsOptions,
} from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { findTexts } from '../support/find-texts.js';
import { poll } from '../support/poll.js';
import { startTestApp } from '../support/test-app.js';
import type { TestDatabase } from '../support/test-database.js';
import { LockWorker, TROUBLE_CHANNEL, TroubleWorker, WhereWorker } from './app/thread.workers.js';
import { twins } from './app/twins.js';
import { ThreadStage } from './support/thread-stage.js';

const LOCK = 10;

// An application starts in each new thread.
import.meta.jest.setTimeout(60_000);

describe('trouble in the threads of jobs', () => {
  let stage: ThreadStage;
  let database: TestDatabase;
  let jobs: JobService<EntityManager>;
  let channel: BroadcastChannel;

  beforeAll(async () => {
    channel = new BroadcastChannel(TROUBLE_CHANNEL);
    stage = await ThreadStage.set({ threads: { resourceLimits: { maxOldGenerationSizeMb: 128 } } });
    ({ database, jobs } = stage);
  }, 60_000);

  afterEach(() => database.query('delete from note'));

  afterAll(async () => {
    channel.close();
    await stage.clear();
  });

  const texts = (): Promise<string[]> => findTexts(database, 'text');

  async function hold(lock: number): Promise<() => Promise<unknown>> {
    await database.query('select pg_advisory_lock($1)', [lock]);
    return () => database.query('select pg_advisory_unlock($1)', [lock]);
  }

  const untilWaiting = (): Promise<void> =>
    database.until(`select count(*) = 1 from pg_locks join pg_database on oid = database
      where datname = current_database() and locktype = 'advisory' and not granted`);

  it.each([
    ['process.exit', 'worker exited with code: 3'],
    ['uncaught exception', 'nobody catches this'],
    ['out of memory', 'Worker terminated due to reaching memory limit'],
  ] as const)('by %s ends the jobs of that thread, and the next one gets a new thread', async (trouble, why) => {
    using log = new CapturedLog();
    const unlock = await hold(LOCK);
    const shared = jobs.settle([LOCK], LockWorker, { threads: 1 });
    await untilWaiting();

    const [outcome] = await jobs.settle([trouble], TroubleWorker, { threads: 1 });
    const [innocent] = await shared;
    await unlock();
    const after = await jobs.map(['none'] as const, TroubleWorker, { threads: 1 });

    const reason: unknown = expect.any(JobThreadError);
    expect(outcome).toMatchObject({ status: 'rejected', ending: 'failed', reason, attempts: 1 });
    expect(outcome).toMatchObject({ reason: { message: expect.stringContaining(why), blockedBy: undefined } });
    expect(outcome).toMatchObject({ reason: { message: expect.stringContaining('job 0 of TroubleWorker') } });
    expect(innocent).toMatchObject({ status: 'rejected', ending: 'failed', reason });
    expect(after).toEqual([expect.any(Number)]);
    expect(await texts()).toEqual(['none']);
    // Whoever was told of it need not read of it in the log.
    expect(log.errors).toEqual([]);
  });

  it.each([
    ['process.exit later', 'worker exited with code: 3'],
    ['uncaught exception later', 'nobody catches this'],
  ] as const)('by %s, when no job runs, is logged, and the next job gets a new thread', async (trouble, why) => {
    using log = new CapturedLog();
    const [before] = await jobs.map([trouble], TroubleWorker, { threads: 1 });

    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel, not a window
    channel.postMessage('now');
    await poll('the end of the thread is logged', () => Promise.resolve(log.errors.length > 0));
    const [after] = await jobs.map(['none'] as const, TroubleWorker, { threads: 1 });

    expect(log.errors).toEqual([`A worker thread for jobs exited while it ran no job: ${why}`]);
    expect(after).not.toBe(before);
  });

  it('by a loop past its time-out ends the thread, and jobs that shared it are told why', async () => {
    const unlock = await hold(LOCK);
    const shared = jobs.settle([LOCK], LockWorker, { threads: 1 });
    await untilWaiting();

    const [outcome] = await jobs.settle(['endless loop'], TroubleWorker, { threads: 1, timeout: 200, label: 'loops' });
    const [innocent] = await shared;
    await unlock();

    expect(outcome).toMatchObject({
      ending: 'timeout',
      reason: expect.any(JobTimeoutError),
      attempts: 1,
    });
    expect(innocent).toMatchObject({
      ending: 'failed',
      reason: { code: 'JOB_THREAD_ENDED', blockedBy: 'job 0 of loops' },
    });
    expect(await jobs.map(['none'] as const, TroubleWorker, { threads: 1 })).toHaveLength(1);
    expect(await texts()).toEqual(['none']);
  });

  it('by a loop leads to another attempt of the jobs that shared the thread, if retries are on', async () => {
    const unlock = await hold(12);
    const shared = jobs.settle([12], LockWorker, { threads: 1, retry: { delay: 0 } });
    await untilWaiting();

    const [outcome] = await jobs.settle(['endless loop'], TroubleWorker, { threads: 1, timeout: 200 });
    await untilWaiting();
    await unlock();

    expect(outcome).toMatchObject({ ending: 'timeout' });
    expect(await shared).toMatchObject([{ status: 'fulfilled', attempts: 2 }]);
    expect(await texts()).toEqual(['lock 12']);
  });

  it('by a loop in a chunk is found, and the other inputs are done', async () => {
    const outcomes = await jobs.settle(['none', 'none', 'endless loop', 'none'] as const, TroubleWorker, {
      threads: 1,
      concurrency: 1,
      chunkSize: 4,
      // The others need it too, in a thread that has just started.
      timeout: 1_000,
    });

    expect(outcomes).toMatchObject([
      { status: 'fulfilled' },
      { status: 'fulfilled' },
      { ending: 'timeout', reason: { message: expect.stringContaining('Job 2 of TroubleWorker was cancelled') } },
      { status: 'fulfilled' },
    ]);
    expect(await texts()).toEqual(['none', 'none', 'none']);
  });

  it('by a loop ends with the signal, when nobody else uses the thread', async () => {
    const cancel = new AbortController();
    const looping = once(channel, 'message');
    const running = jobs.settle(['endless loop'], TroubleWorker, { threads: 1, signal: cancel.signal });
    await looping;

    cancel.abort(new Error('enough'));

    expect(await running).toMatchObject([{ ending: 'aborted', reason: cancel.signal.reason, attempts: 1 }]);
  });

  it('by a loop is borne when it is aborted, as long as others use the thread', async () => {
    const unlock = await hold(LOCK);
    const shared = jobs.settle([LOCK], LockWorker, { threads: 1 });
    await untilWaiting();
    const cancel = new AbortController();
    const looping = once(channel, 'message');
    const running = jobs.settle(['long loop'], TroubleWorker, { threads: 1, signal: cancel.signal });
    await looping;

    cancel.abort();
    const [borne] = await running;
    await unlock();

    expect(borne).toMatchObject({ status: 'fulfilled', attempts: 1 });
    expect(await shared).toMatchObject([{ status: 'fulfilled', attempts: 1 }]);
  });

  it('by a job that waits for ever ends with its time-out alone', async () => {
    const [before] = await jobs.map(['none'] as const, TroubleWorker, { threads: 1 });

    const [outcome] = await jobs.settle(['waits for ever'], TroubleWorker, { threads: 1, timeout: 200 });

    expect(outcome).toMatchObject({ ending: 'timeout', reason: expect.any(JobTimeoutError) });
    expect(await jobs.map(['none'] as const, TroubleWorker, { threads: 1 })).toEqual([before]);
  });

  it('by what cannot be sent is the failure of that job alone', async () => {
    const inputs = [1, { deep: [new Map([['key', { f: () => 1 }]])] }, Symbol('no'), 4, new WeakMap()];

    const outcomes = await jobs.settle(inputs, WhereWorker, { threads: 1, label: 'searches' });
    const chunked = await jobs.settle(inputs, WhereWorker, { threads: 1, chunkSize: 5, label: 'searches' });

    expect(outcomes.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'rejected',
      'fulfilled',
      'rejected',
    ]);
    expect(chunked.map(({ status }) => status)).toEqual(outcomes.map(({ status }) => status));
    const messages = outcomes.flatMap((outcome) =>
      outcome.status === 'rejected' && outcome.reason instanceof JobCloneError ? [outcome.reason.message] : [],
    );
    expect(messages).toEqual([
      expect.stringContaining(
        'The input of job 1 of searches cannot be sent from one thread to another: `input.deep[0].get(key).f` is a function.',
      ),
      expect.stringContaining('`input` is a symbol.'),
      expect.stringContaining('`input` is an object of the class `WeakMap`.'),
    ]);
  });

  it.each([1, 3])(
    'by a result that cannot be sent back rolls back that job alone (chunks of %d)',
    async (chunkSize) => {
      const outcomes = await jobs.settle(['none', 'function', 'none'] as const, TroubleWorker, {
        threads: 1,
        chunkSize,
      });

      expect(outcomes).toMatchObject([
        { status: 'fulfilled' },
        {
          ending: 'failed',
          reason: {
            code: 'JOB_NOT_CLONEABLE',
            message: expect.stringContaining(
              'The result of job 1 of TroubleWorker cannot be sent from one thread to another: `result.of[1].what` is a function.',
            ),
          },
        },
        { status: 'fulfilled' },
      ]);
      expect(await texts()).toEqual(['none', 'none']);
    },
  );

  it.each<[string, JobOptions]>([
    ['info', { info: { tenant: { find: () => 'a' } } }],
    ['transaction', { transaction: { loggerContext: { f: () => 1 } } }],
  ])('by options that cannot be sent begins no job (%s)', async (name, options) => {
    const running = jobs.settle([1], WhereWorker, { threads: 1, ...options });

    await expect(running).rejects.toThrow(JobCloneError);
    await expect(running).rejects.toThrow(`The option \`${name}\` of WhereWorker cannot be sent`);
  });

  it('by a function as the worker says what to do', async () => {
    const running = jobs.settle([1], (_session, n) => n, { threads: 1 });

    await expect(running).rejects.toThrow(TypeError);
    await expect(running).rejects.toThrow('Expected `worker` to be a class with a method');
  });

  it('by a wrong number says what is right', async () => {
    await expect(jobs.settle([1], WhereWorker, { threads: -1 })).rejects.toThrow(
      'Expected `threads` to be an integer of 0 or more, got `-1` (number).',
    );
    await expect(jobs.settle([1], WhereWorker, { threads: 1.5 })).rejects.toThrow(TypeError);
  });

  it('by a class that the application of the threads does not have names both', async () => {
    class Stranger {
      handle(input: number): number {
        return input;
      }
    }

    const running = jobs.settle([1], Stranger, { threads: 1 });

    await expect(running).rejects.toThrow(SessionSetupError);
    await expect(running).rejects.toThrow(
      /The worker "Stranger" is not a provider of the application that "file:.*thread-application\.js" makes/,
    );
  });

  it('by two classes of one name names it', async () => {
    const [twin] = twins;

    await expect(jobs.settle([1], twin as (typeof twins)[0], { threads: 1 })).rejects.toThrow(
      'There are 2 providers with the name "Twin" in the application that "file:',
    );
  });

  it('by an application that does not start is told to the run, and the next run tries again', async () => {
    const own = await stage.startAnother({ data: { failure: 'not today' } });
    const ownJobs = own.get<JobService<EntityManager>>(JobService);

    const first = ownJobs.settle([1], WhereWorker, { threads: 1 });
    await expect(first).rejects.toThrow(SessionSetupError);
    await expect(first).rejects.toMatchObject({
      message: expect.stringMatching(/^The application that "file:.*" makes for threads did not start: not today$/),
      cause: expect.any(RangeError),
    });
    await expect(ownJobs.settle([1], WhereWorker, { threads: 1 })).rejects.toThrow('not today');
    await own.close();
  });

  it('by an application nobody named says how to name it', async () => {
    const own = await startTestApp({ databaseUrl: database.url, providers: [WhereWorker] });
    const ownJobs = own.get<JobService<EntityManager>>(JobService);

    const running = ownJobs.settle([1], WhereWorker, { threads: 1 });

    await expect(running).rejects.toThrow(SessionSetupError);
    await expect(running).rejects.toThrow("SessionModule.forRoot({ threads: { application: new URL('./thread-");
    expect(await ownJobs.settle([1], WhereWorker, { threads: 0 })).toMatchObject([{ status: 'fulfilled' }]);
    await own.close();
  });

  it.each<[string, Partial<ThreadsOptions>]>([
    ['Expected `threads.application` to be the URL of a file', { application: './thread-application.js' }],
    ['Expected `threads.application` to be the URL of a file', { application: new URL('https://localhost/a.js') }],
    ['`threads.data.now` is a function', { data: { now: () => 1 } }],
  ])('by wrong options of the module keeps the application from starting (%s)', async (message, threads) => {
    const starting = stage.startAnother({ threads });

    await expect(starting).rejects.toThrow(TypeError);
    await expect(starting).rejects.toThrow(message);
  });

  it('by an error of many parts loses none of them', async () => {
    const [outcome] = await jobs.settle(['strange error'], TroubleWorker, { threads: 1 });

    const reason = outcome?.status === 'rejected' ? outcome.reason : undefined;
    expect(reason).toBeInstanceOf(TypeError);
    expect(reason).toMatchObject({ name: 'Strange', message: 'strange', when: new Date(0), f: '[Function: f]' });
    const { cause } = reason as { readonly cause: Error & { readonly cause: unknown; readonly errors: unknown[] } };
    expect(cause).toBeInstanceOf(DOMException);
    expect(cause).toMatchObject({ name: 'AbortError', message: 'aborted', code: DOMException.ABORT_ERR });
    expect(cause.cause).toBe(reason);
  });
});
