import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, type Type } from '@nestjs/common';
import { InjectSession, type JobWorker, SessionClosedError } from 'nestjs-mikro-session';
import {
  JobHandler,
  type JobHandlerOptions,
  JobQueue,
  JobQueueModule,
  type JobQueueModuleOptions,
  type QueueJobContext,
  type QueuePolicy,
  type SendOptions,
} from 'nestjs-mikro-session/pg-boss';

import { CapturedLog } from '../support/captured-log.js';
import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    tasks: string;
    'dead-tasks': string;
  }
}

type Work = (session: EntityManager, input: string, job: QueueJobContext) => void | Promise<void>;

/** Makes the handler of the queue of tasks. */
function handlerOf(options: Omit<JobHandlerOptions, 'queue'>, work: Work): Type<JobWorker<string, void>> {
  @Injectable()
  @JobHandler({ pollingIntervalSeconds: 0.5, notifyPollingIntervalSeconds: 0.5, ...options, queue: 'tasks' })
  class TaskHandler implements JobWorker<string, void> {
    constructor(@InjectSession() private readonly session: EntityManager) {}

    handle(input: string, job: QueueJobContext): void | Promise<void> {
      return work(this.session, input, job);
    }
  }
  return TaskHandler;
}

const fail: Work = () => {
  throw new Error('told to fail');
};

describe('the policies of pg-boss', () => {
  let database: TestDatabase;
  let running: TestApp | undefined;
  let queue: JobQueue;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterEach(async () => {
    await stop();
    await database.query('drop schema if exists pgboss cascade');
    await database.query('delete from note');
  });

  afterAll(() => database.drop());

  async function start(options: JobQueueModuleOptions, ...handlers: Type[]): Promise<void> {
    running = await startTestApp({
      databaseUrl: database.url,
      imports: [JobQueueModule.forRoot(options)],
      providers: handlers,
    });
    queue = running.get(JobQueue);
  }

  async function stop(): Promise<void> {
    await running?.close();
    running = undefined;
  }

  const untilState = (state: string, count = 1): Promise<void> =>
    database.until(`select count(*) = $2 from pgboss.job where name = 'tasks' and state = $1::pgboss.job_state`, [
      state,
      count,
    ]);

  const findNotes = async (): Promise<string[]> =>
    (await database.query<{ text: string }>('select text from note order by id')).map(({ text }) => text);

  describe('of a queue', () => {
    it.each<[QueuePolicy]>([
      [{ retryLimit: 7, retryDelay: 3 }],
      [{ retryLimit: 1, retryBackoff: true, retryDelayMax: 60 }],
      [{ expireInSeconds: 30 }],
      [{ heartbeatSeconds: 10 }],
      [{ deadLetter: 'dead-tasks' }],
      [{ policy: 'singleton' }],
      [{ partition: true }],
      [{ retentionSeconds: 100, deleteAfterSeconds: 200 }],
      [{ warningQueueSize: 10 }],
      [{ notify: false }],
    ])('are %j, as its handler says', async (policy) => {
      await start({ queues: { 'dead-tasks': {} }, work: false }, handlerOf(policy, fail));

      const boss = await queue.boss();

      expect(await boss.getQueue('tasks')).toMatchObject(policy);
    });

    it('are brought up to date by the next start', async () => {
      await start({ work: false }, handlerOf({ retryLimit: 1, expireInSeconds: 30 }, fail));
      await stop();

      await start({ work: false }, handlerOf({ retryLimit: 4 }, fail));

      const boss = await queue.boss();
      expect(await boss.getQueue('tasks')).toMatchObject({ retryLimit: 4 });
      await queue.send('tasks', 'one');
      expect(await database.query('select retry_limit from pgboss.job')).toEqual([{ retry_limit: 4 }]);
    });

    it.each<[QueuePolicy, QueuePolicy, string]>([
      [{}, { policy: 'short' }, 'was created with `policy` standard, and cannot be changed to short'],
      [{ policy: 'stately' }, { policy: 'standard' }, '`policy` stately, and cannot be changed to standard'],
      [{}, { partition: true }, 'was created with `partition` false, and cannot be changed to true'],
    ])('cannot be changed from %j to %j', async (before, after, message) => {
      await start({ work: false }, handlerOf(before, fail));
      await stop();

      await expect(start({ work: false }, handlerOf(after, fail))).rejects.toThrow(message);
    });

    it.each<[QueuePolicy]>([
      [{ policy: 'singleton' }],
      [{ partition: true }],
      [{ notify: false }],
      [{ heartbeatSeconds: 10, retryLimit: 1 }],
    ])('stay %j where the next start leaves them out', async (policy) => {
      await start({ work: false }, handlerOf(policy, fail));
      await stop();

      await start({ queues: { tasks: {} } });

      const boss = await queue.boss();
      expect(await boss.getQueue('tasks')).toMatchObject(policy);
    });

    it('are taken back with null, and may be null from the first', async () => {
      const before = { deadLetter: 'dead-tasks', retryDelayMax: 60, retryBackoff: true, heartbeatSeconds: 10 };
      await start({ queues: { 'dead-tasks': { heartbeatSeconds: null } }, work: false }, handlerOf(before, fail));
      await stop();

      const none = { deadLetter: null, retryDelayMax: null, heartbeatSeconds: null };
      await start({ work: false }, handlerOf(none, fail));

      const boss = await queue.boss();
      const { deadLetter, retryDelayMax, heartbeatSeconds } = (await boss.getQueue('tasks')) ?? {};
      expect([deadLetter ?? null, retryDelayMax ?? null, heartbeatSeconds ?? null]).toEqual([null, null, null]);
      await queue.send('tasks', 'one');
      expect(await database.query('select dead_letter from pgboss.job')).toEqual([{ dead_letter: null }]);
    });
  });

  describe('of retries', () => {
    it.each<[QueuePolicy, number, number]>([
      [{ retryLimit: 3, retryDelay: 100 }, 100, 100],
      [{ retryLimit: 3, retryDelay: 100, retryBackoff: true }, 100, 200],
      [{ retryLimit: 3, retryDelay: 100, retryBackoff: true, retryDelayMax: 50 }, 50, 50],
    ])('with %j wait %i to %i seconds', async (policy, least, most) => {
      await start({}, handlerOf(policy, fail));

      await queue.send('tasks', 'one');

      await untilState('retry');
      const [job] = await database.query<{ wait: number }>(
        `select extract(epoch from start_after - started_on)::float as wait from pgboss.job`,
      );
      expect(job?.wait).toBeGreaterThanOrEqual(least);
      // A second and more for the handler itself.
      expect(job?.wait).toBeLessThan(most + 10);
    });

    it('end with the limit, and count for the handler', async () => {
      const attempts: number[] = [];
      const work: Work = (_session, _input, { attempt }) => {
        attempts.push(attempt);
        throw new Error('told to fail');
      };
      await start({}, handlerOf({ retryLimit: 2, retryDelay: 0 }, work));

      await queue.send('tasks', 'one');

      await untilState('failed');
      expect(attempts).toEqual([1, 2, 3]);
    });

    it('end in the dead letter queue, from where jobs come back', async () => {
      let isFixed = false;
      const work: Work = (session, text) => {
        if (!isFixed) {
          throw new Error('told to fail');
        }
        session.create(Note, { text });
      };
      await start(
        { queues: { 'dead-tasks': {} } },
        handlerOf({ retryLimit: 1, retryDelay: 0, deadLetter: 'dead-tasks' }, work),
      );
      await queue.sendMany('tasks', ['one', 'two']);
      await database.until(`select count(*) = 2 from pgboss.job where name = 'dead-tasks'`);

      isFixed = true;
      const count = await queue.redrive('dead-tasks');

      expect(count).toBe(2);
      await untilState('completed', 2);
      expect((await findNotes()).toSorted((a, b) => a.localeCompare(b))).toEqual(['one', 'two']);
    });
  });

  describe.each([1, 10])('of time, in chunks of %i', (chunkSize) => {
    const options = { chunkSize, retryLimit: 0, expireInSeconds: 1 };

    it('cancel the statement of a job that has expired, and close its session', async () => {
      using _log = new CapturedLog();
      const caught = Promise.withResolvers<unknown>();
      const work: Work = async (session, text) => {
        session.create(Note, { text });
        await session.flush();
        await session.execute('select pg_sleep(600)').catch(() => undefined);
        await session.execute('select 1').catch(caught.resolve);
      };
      await start({}, handlerOf(options, work));

      await queue.send('tasks', 'one');

      await untilState('failed');
      expect(await caught.promise).toBeInstanceOf(SessionClosedError);
      await database.until(`select count(*) = 0 from pg_stat_activity
        where datname = current_database() and query = 'select pg_sleep(600)' and state <> 'idle'`);
      expect(await findNotes()).toEqual([]);
      const [job] = await database.query<{ output: unknown }>('select output from pgboss.job');
      expect(job?.output).toMatchObject({ message: 'handler execution exceeded 1s' });
    });

    it('leave a handler that heard nothing of it with a session that is closed', async () => {
      using _log = new CapturedLog();
      const late = Promise.withResolvers<void>();
      const caught = Promise.withResolvers<unknown>();
      const work: Work = async (session, text, { signal }) => {
        await late.promise;
        try {
          session.create(Note, { text: `late ${text} ${signal.aborted}` });
        } catch (error) {
          caught.resolve(error);
        }
      };
      await start({}, handlerOf(options, work));
      await queue.send('tasks', 'one');
      await untilState('failed');

      late.resolve();

      const error = await caught.promise;
      expect(error).toBeInstanceOf(SessionClosedError);
      expect((error as Error).message).toMatch(/ of queue "tasks"/);
      expect(await findNotes()).toEqual([]);
    });

    it('refresh the heartbeat of a job, and end it when it was cancelled', async () => {
      using _log = new CapturedLog();
      const ended = Promise.withResolvers<void>();
      const work: Work = async (session, text) => {
        session.create(Note, { text });
        await session.flush();
        await session.execute('select pg_sleep(600)').catch(ended.resolve);
      };
      await start(
        {},
        handlerOf({ chunkSize, retryLimit: 0, heartbeatSeconds: 10, heartbeatRefreshSeconds: 0.1 }, work),
      );
      const id = await queue.send('tasks', 'one');
      await database.until(`select count(*) = 1 from pgboss.job where heartbeat_on > started_on`);

      await queue.cancel('tasks', id ?? '');

      await ended.promise;
      await untilState('cancelled');
      expect(await findNotes()).toEqual([]);
    });
  });

  it('hold a job back until its time', async () => {
    await start(
      {},
      handlerOf({}, (session, text) => void session.create(Note, { text })),
    );

    await queue.send('tasks', 'later', { startAfter: 3_600 });
    await queue.send('tasks', 'now');

    await untilState('completed');
    expect(await findNotes()).toEqual(['now']);
    await untilState('created');
  });

  describe('of order and room', () => {
    const ignore: Work = () => undefined;

    /** Sends before anybody works, then starts a handler that keeps a list. */
    async function workOff(
      jobs: Readonly<Record<string, SendOptions>>,
      options: Omit<JobHandlerOptions, 'queue'>,
    ): Promise<readonly string[]> {
      const begun: string[] = [];
      const handler = handlerOf(options, (_session, input) => void begun.push(input));
      await start({ work: false }, handler);
      await queue.sendMany('tasks', Object.keys(jobs), (input) => jobs[input] ?? {});
      await stop();
      await start({}, handler);
      return begun;
    }

    it('run those of a higher priority first', async () => {
      const jobs = { low: { priority: 1 }, none: {}, high: { priority: 9 }, middle: { priority: 5 } };

      const begun = await workOff(jobs, { localConcurrency: 1 });

      await untilState('completed', 4);
      expect(begun).toEqual(['high', 'middle', 'low', 'none']);
    });

    it('run only those of the priorities of the handler', async () => {
      const jobs = { low: { priority: 1 }, high: { priority: 9 }, middle: { priority: 5 } };

      const begun = await workOff(jobs, { minPriority: 2, maxPriority: 8 });

      await untilState('completed', 1);
      await untilState('created', 2);
      expect(begun).toEqual(['middle']);
    });

    it('run no other of a group while it has as many as `groupConcurrency` says', async () => {
      const released = Promise.withResolvers<void>();
      const begun: string[] = [];
      await start(
        {},
        handlerOf({ groupConcurrency: 1 }, async (_session, input) => {
          begun.push(input);
          await (input === 'a first' ? released.promise : undefined);
        }),
      );
      const groupOf = (input: string): SendOptions => ({ group: { id: input.slice(0, 1) } });
      await queue.send('tasks', 'a first', groupOf('a'));
      await untilState('active');

      await queue.sendMany('tasks', ['a second', 'b first'], groupOf);
      await untilState('completed');
      await queue.send('tasks', 'b second', groupOf('b'));
      await untilState('completed', 2);

      expect(begun).toEqual(['a first', 'b first', 'b second']);
      released.resolve();
      await untilState('completed', 4);
    });

    it.each<[string, Omit<JobHandlerOptions, 'queue'>, (group: string) => SendOptions]>([
      ['a group with `localGroupConcurrency`', { localGroupConcurrency: 1 }, (id) => ({ group: { id } })],
      ['a key with the policy `singleton`', { policy: 'singleton' }, (singletonKey) => ({ singletonKey })],
    ])('run jobs at once, but no two of %s', async (_what, options, place) => {
      const active: string[] = [];
      const clashes: string[] = [];
      const twoAtOnce = Promise.withResolvers<void>();
      const work: Work = async (session, input) => {
        const group = input.slice(0, 1);
        if (active.includes(group)) {
          clashes.push(input);
        }
        active.push(group);
        if (new Set(active).size > 1) {
          twoAtOnce.resolve();
        }
        await twoAtOnce.promise;
        await session.execute('select pg_sleep(0.005)');
        active.splice(active.indexOf(group), 1);
      };
      await start({}, handlerOf({ ...options, localConcurrency: 5 }, work));
      const inputs = ['a', 'b', 'c'].flatMap((group) => Array.from({ length: 20 }, (_, nth) => `${group} ${nth}`));

      await queue.sendMany('tasks', inputs, (input) => place(input.slice(0, 1)));

      await untilState('completed', inputs.length);
      expect(clashes).toEqual([]);
    });

    it.each<[string, Pick<JobHandlerOptions, 'localGroupConcurrency'>, Readonly<Record<string, number>>]>([
      ['a number', { localGroupConcurrency: 2 }, { a: 2, b: 2, big: 2 }],
      ['tiers', { localGroupConcurrency: { default: 1, tiers: { big: 3 } } }, { a: 1, b: 1, big: 3 }],
    ])('run as many of a group as `localGroupConcurrency` says, which is %s', async (_what, options, limits) => {
      const active = new Map(Object.keys(limits).map((group) => [group, 0]));
      const most = new Map(active);
      const allReached = Promise.withResolvers<void>();
      const work: Work = async (session, input) => {
        const group = input.split(' ', 1)[0] as string;
        const count = (active.get(group) ?? 0) + 1;
        active.set(group, count);
        most.set(group, Math.max(most.get(group) ?? 0, count));
        if (Object.entries(limits).every(([id, limit]) => (most.get(id) ?? 0) >= limit)) {
          allReached.resolve();
        }
        await allReached.promise;
        await session.execute('select pg_sleep(0.005)');
        active.set(group, (active.get(group) ?? 0) - 1);
      };
      await start({}, handlerOf({ ...options, localConcurrency: 8 }, work));
      const inputs = Object.keys(limits).flatMap((group) => Array.from({ length: 20 }, (_, nth) => `${group} ${nth}`));

      await queue.sendMany('tasks', inputs, (input) => {
        const id = input.split(' ', 1)[0] as string;
        return { group: { id, tier: id } };
      });

      await untilState('completed', inputs.length);
      expect(Object.fromEntries(most)).toEqual(limits);
    });

    it.each<[Omit<JobHandlerOptions, 'queue'>, string]>([
      [{ localConcurrency: 2, localGroupConcurrency: 3 }, '`localConcurrency` of 2, got 3'],
      [{ localGroupConcurrency: 5 }, '`localConcurrency` of 4, got 5'],
      [{ localConcurrency: 2, localGroupConcurrency: { default: 1, tiers: { big: 3 } } }, 'of 2, got 3'],
    ])('cannot run more jobs of a group than jobs at all: %j', async (options, message) => {
      const starting = start({}, handlerOf(options, ignore));

      await expect(starting).rejects.toThrow(TypeError);
      await expect(starting).rejects.toThrow(
        `Expected \`localGroupConcurrency\` of @JobHandler() on "TaskHandler" to be at most the`,
      );
      await expect(starting).rejects.toThrow(message);
    });

    it('leave no room for a second job of a key', async () => {
      await start({ work: false }, handlerOf({ policy: 'exclusive' }, ignore));

      const ids = [
        await queue.send('tasks', 'first', { singletonKey: 'one' }),
        await queue.send('tasks', 'second', { singletonKey: 'one' }),
        await queue.send('tasks', 'other', { singletonKey: 'two' }),
      ];

      expect(ids).toEqual([expect.any(String), null, expect.any(String)]);
    });
  });

  it('give back what there is room for at the end, and have the rest fail once', async () => {
    using _log = new CapturedLog();
    const begun = Promise.withResolvers<void>();
    const work: Work = () => {
      begun.resolve();
      return new Promise(() => undefined);
    };
    const options = { policy: 'stately', chunkSize: 10, localConcurrency: 1, retryLimit: 1, retryDelay: 0 };
    await start({ shutdownTimeout: 50 }, handlerOf(options, work));
    await queue.sendMany('tasks', ['one', 'two'], (input) => ({ singletonKey: input }));
    await begun.promise;
    await queue.send('tasks', 'one again', { singletonKey: 'one' });

    await stop();

    expect(await database.query(`select data ->> 'input' as input, state from pgboss.job order by input`)).toEqual([
      { input: 'one', state: 'retry' },
      { input: 'one again', state: 'created' },
      { input: 'two', state: 'created' },
    ]);
  });
});
