import { MikroOrmModule } from '@mikro-orm/nestjs';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, Module, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { InjectSession, type JobWorker, SessionContext, SessionModule, SessionSetupError } from 'nestjs-mikro-session';
import {
  getJobQueueToken,
  JobHandler,
  type JobHandlerOptions,
  JobQueue,
  JobQueueHealthIndicator,
  JobQueueModule,
  type JobQueueModuleOptions,
  type JobQueueOptionsFactory,
} from 'nestjs-mikro-session/pg-boss';

import { CapturedLog } from '../support/captured-log.js';
import { Note } from '../support/note.entity.js';
import { ormOptions, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    words: string;
    'more-words': string;
  }
}

@Injectable()
class WordHandler implements JobWorker<string, void> {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly context: SessionContext,
  ) {}

  handle(text: string): void {
    const { tenant = 'a' } = this.context.scope.info as { readonly tenant?: string };
    this.session.create(Note, { text, tenant });
  }
}

function handlerOf(options: JobHandlerOptions<'more-words' | 'words'>): Type<JobWorker<string, void>> {
  @Injectable()
  class OwnHandler extends WordHandler {}
  JobHandler(options)(OwnHandler);
  return OwnHandler;
}

const Words = handlerOf({ queue: 'words' });

@Injectable()
class OwnSchema implements JobQueueOptionsFactory {
  createJobQueueOptions(): JobQueueModuleOptions {
    return { boss: { schema: 'pgboss_class' } };
  }
}

@Module({ providers: [OwnSchema], exports: [OwnSchema] })
class OptionsModule {}

describe('JobQueueModule', () => {
  let database: TestDatabase;
  let running: TestApp | undefined;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterEach(async () => {
    await running?.close();
    running = undefined;
    await database.query('drop schema if exists pgboss cascade');
  });

  afterAll(() => database.drop());

  async function start(
    ...[module, ...providers]: [ReturnType<typeof JobQueueModule.forRoot>, ...Type[]]
  ): Promise<TestApp> {
    running = await startTestApp({ databaseUrl: database.url, imports: [module], providers });
    return running;
  }

  it('works with a request-scoped handler and no options', async () => {
    const { get } = await start(JobQueueModule.forRoot(), Words);

    await get<JobQueue>(JobQueue).send('words', 'hello', { info: { tenant: 'b' } });

    await database.until(`select count(*) = 1 from pgboss.job where state = 'completed'`);
    expect(await database.query('select text, tenant from note')).toEqual([{ text: 'hello', tenant: 'b' }]);
  });

  it.each([
    [
      'useFactory',
      JobQueueModule.forRootAsync({ useFactory: () => ({ boss: { schema: 'pgboss_factory' } }) }),
      'pgboss_factory',
    ],
    ['useClass', JobQueueModule.forRootAsync({ useClass: OwnSchema }), 'pgboss_class'],
    ['useExisting', JobQueueModule.forRootAsync({ imports: [OptionsModule], useExisting: OwnSchema }), 'pgboss_class'],
  ])('takes its options from %s', async (_name, module, schema) => {
    await start(module, Words);

    const rows = await database.query(`select name from ${schema}.queue where name = 'words'`);
    expect(rows).toEqual([{ name: 'words' }]);
    await database.query(`drop schema ${schema} cascade`);
  });

  it('makes the queues and sends, but does not work, when told so', async () => {
    const log = new CapturedLog();
    const { get } = await start(JobQueueModule.forRoot({ work: false }), Words);

    const queue = get<JobQueue>(JobQueue);
    await queue.send('words', 'hello');

    const boss = await queue.boss();
    expect(boss.getWipData()).toEqual([]);
    expect(log.errors).toEqual([]);
    log[Symbol.dispose]();
  });

  it('wakes a worker by a notification, long before it polls', async () => {
    const { get } = await start(
      JobQueueModule.forRoot(),
      handlerOf({ queue: 'words', pollingIntervalSeconds: 3_600, notifyPollingIntervalSeconds: 3_600 }),
    );

    const id = await get<JobQueue>(JobQueue).send('words', 'hello');

    await database.until(`select count(*) = 1 from pgboss.job where state = 'completed'`);
    expect(await database.query('select id from pgboss.job')).toEqual([{ id }]);
  });

  it('polls where there are no notifications, and fetches on as long as there is something', async () => {
    const { get } = await start(
      JobQueueModule.forRoot({ boss: { useListenNotify: false } }),
      handlerOf({ queue: 'words', pollingIntervalSeconds: 0.5, localConcurrency: 1 }),
    );

    await get<JobQueue>(JobQueue).sendMany(
      'words',
      Array.from({ length: 100 }, (_, nth) => `word ${nth}`),
    );

    // At one job for each poll it would take 50 seconds.
    await database.until(`select count(*) = 100 from pgboss.job where state = 'completed'`);
    expect(await database.query('select count(distinct text)::int as count from note')).toEqual([{ count: 100 }]);
  });

  it('runs no more jobs of a handler at once than it says', async () => {
    const { get } = await start(JobQueueModule.forRoot(), handlerOf({ queue: 'words', localConcurrency: 3 }));

    const boss = await get<JobQueue>(JobQueue).boss();

    expect(boss.getWipData()).toHaveLength(3);
  });

  it('leaves no connection when it ends, and refuses to send then', async () => {
    const { app, get } = await start(JobQueueModule.forRoot(), Words);
    const queue = get<JobQueue>(JobQueue);
    await queue.send('words', 'hello');
    await database.until(`select count(*) = 1 from pgboss.job where state = 'completed'`);

    await app.close();
    running = undefined;

    const open = `select count(*) = 0 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`;
    await database.until(open);
    await expect(queue.send('words', 'late')).rejects.toThrow(SessionSetupError);
  });

  describe('refuses to start', () => {
    it.each([
      [
        'two handlers for one queue',
        [Words, handlerOf({ queue: 'words' })],
        'The queue "words" has two handlers, "OwnHandler" and "OwnHandler". Take one of them out of the providers, or give it a queue of its own.',
      ],
      [
        'a handler without a queue',
        [handlerOf({ queue: '' as 'words' })],
        'Expected `queue` of @JobHandler() on "OwnHandler" to be a name, got `\'\'` (string).',
      ],
      [
        'a chunk of nothing',
        [handlerOf({ queue: 'words', chunkSize: 0 })],
        'Expected `chunkSize` of @JobHandler() on "OwnHandler" to be an integer of 1 or more, got `0` (number).',
      ],
      [
        'a name that pg-boss does not take',
        [handlerOf({ queue: 'my words' as 'words' })],
        'Expected the queue "my words" to have a name and options that pg-boss accepts. Name can only contain',
      ],
      [
        'options that pg-boss does not take',
        [handlerOf({ queue: 'words', retryLimit: -1 })],
        'Expected the queue "words" to have a name and options that pg-boss accepts. retryLimit',
      ],
    ])('with %s', async (_what, handlers, message) => {
      await expect(start(JobQueueModule.forRoot(), ...handlers)).rejects.toThrow(message);
    });

    it('with a queue that is described twice', async () => {
      await expect(start(JobQueueModule.forRoot({ queues: { words: {} } }), Words)).rejects.toThrow(
        'The queue "words" is described twice: by its handler "OwnHandler" and by the option `queues`',
      );
    });

    it('without SessionModule', async () => {
      @Module({ imports: [MikroOrmModule.forRoot(ormOptions(database.url)), JobQueueModule.forRoot()] })
      class WithoutSessions {}

      const starting = NestFactory.createApplicationContext(WithoutSessions, { logger: false, abortOnError: false });

      await expect(starting).rejects.toThrow(
        'JobQueueModule found no sessions. Add SessionModule.forRoot() to the imports of the application.',
      );
    });
  });

  it('has a queue for each connection', async () => {
    const second = await createTestDatabase();
    running = await startTestApp({
      databaseUrl: database.url,
      imports: [
        MikroOrmModule.forRoot({ ...ormOptions(second.url), contextName: 'second' }),
        SessionModule.forRoot({ contextName: 'second' }),
        JobQueueModule.forRoot(),
        JobQueueModule.forRoot({ contextName: 'second' }),
      ],
      providers: [Words, handlerOf({ queue: 'more-words', contextName: 'second' })],
    });

    await running.get<JobQueue>(getJobQueueToken('second')).send('more-words', 'hello');

    await second.until(`select count(*) = 1 from pgboss.job where name = 'more-words'`);
    expect(await database.query('select name from pgboss.queue order by name')).not.toContainEqual({
      name: 'more-words',
    });
    await running.close();
    running = undefined;
    await second.drop();
  });

  describe('JobQueueHealthIndicator', () => {
    it('tells how deep the queues are', async () => {
      const { get } = await start(JobQueueModule.forRoot({ work: false, queues: { 'more-words': {} } }), Words);
      await get<JobQueue>(JobQueue).sendMany('words', ['one', 'two', 'three']);

      const health = await get<JobQueueHealthIndicator>(JobQueueHealthIndicator).check('queue');

      expect(health).toEqual({
        queue: {
          status: 'up',
          queues: {
            words: { ready: 3, active: 0, deferred: 0, failed: 0 },
            'more-words': { ready: 0, active: 0, deferred: 0, failed: 0 },
          },
        },
      });
    });

    it('counts anew at each check, in queues with a table of their own too', async () => {
      const queues = { 'more-words': { partition: true } };
      const { get } = await start(JobQueueModule.forRoot({ work: false, queues }), Words);
      const queue = get<JobQueue>(JobQueue);
      const indicator = get<JobQueueHealthIndicator>(JobQueueHealthIndicator);
      const boss = await queue.boss();
      const before = await indicator.check('queue');

      await queue.sendMany('words', ['one', 'two', 'three']);
      await queue.send('words', 'later', { startAfter: 3_600 });
      await queue.sendMany('more-words', ['one', 'two']);
      await boss.fetch('words');
      const [failing] = await boss.fetch('more-words');
      await database.query(`update pgboss.job set state = 'failed' where id = '${failing?.id}'`);

      const none = { ready: 0, active: 0, deferred: 0, failed: 0 };
      expect(before).toEqual({ queue: { status: 'up', queues: { words: none, 'more-words': none } } });
      expect(await indicator.check('queue')).toEqual({
        queue: {
          status: 'up',
          queues: {
            words: { ready: 2, active: 1, deferred: 1, failed: 0 },
            'more-words': { ready: 1, active: 0, deferred: 0, failed: 1 },
          },
        },
      });
    });

    it('does not read the jobs that are completed', async () => {
      const { get } = await start(JobQueueModule.forRoot({ work: false }), Words);
      const boss = await get<JobQueue>(JobQueue).boss();
      await database.query(
        `insert into pgboss.job (name, state, completed_on)
          select 'words', 'completed', now() from generate_series(1, 20000)`,
      );
      await database.query('vacuum analyze pgboss.job_common');
      const db = boss.getDb();
      const execute = db.executeSql.bind(db);
      const plans: string[] = [];
      db.executeSql = async (text, values) => {
        if (text.includes('unnest($1::text[]) as queue')) {
          const { rows } = await execute(`explain ${text}`, values);
          plans.push(...rows.map((row: Readonly<Record<string, string>>) => row['QUERY PLAN'] ?? ''));
        }
        return execute(text, values);
      };

      await get<JobQueueHealthIndicator>(JobQueueHealthIndicator).check('queue');

      expect(plans.join('\n')).toMatch(/Index (?:Only )?Scan.* on job_common/);
      expect(plans.join('\n')).not.toContain('Seq Scan');
    });

    it('tells when pg-boss cannot be reached', async () => {
      const { app, get } = await start(JobQueueModule.forRoot({ work: false }), Words);
      const indicator = get<JobQueueHealthIndicator>(JobQueueHealthIndicator);
      await app.close();
      running = undefined;

      expect(await indicator.check('queue')).toEqual({ queue: { status: 'down', message: expect.any(String) } });
    });
  });

  it.each([
    [{ worker: false }, 'JobQueueModule has no option `worker`. It has `work`, `shutdownTimeout`, `queues`, `boss`.'],
    [{ work: 'off' }, "Expected `work` to be a boolean, got `'off'` (string)."],
    [{ shutdownTimeout: Infinity }, 'Expected `shutdownTimeout` to be milliseconds from 0 to 2147483647'],
    [{ boss: 'pgboss' }, 'Expected `boss` to be an object'],
  ])('refuses %j', async (options, message) => {
    const starting = startTestApp({
      databaseUrl: database.url,
      imports: [JobQueueModule.forRoot(options as JobQueueModuleOptions)],
    });

    await expect(starting).rejects.toThrow(message);
  });
});
