import { getMikroORMToken, MikroOrmModule } from '@mikro-orm/nestjs';
import { EntityManager, type MikroORM } from '@mikro-orm/postgresql';
import { Controller, Inject, Injectable, Param, Post } from '@nestjs/common';
import {
  getJobServiceToken,
  getSessionFactoryToken,
  InjectSession,
  type JobService,
  type JobWorker,
  SessionFactory,
  SessionModule,
} from 'nestjs-mikro-session';
import { getJobQueueToken, JobHandler, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';
import { SessionTesting } from 'nestjs-mikro-session/testing';

import { Note } from '../support/note.entity.js';
import { injections, ormOptions, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    'of-main': string;
    'of-reports': string;
  }
}

@Injectable()
class Both {
  constructor(
    @InjectSession() readonly main: EntityManager,
    @InjectSession('reports') readonly reports: EntityManager,
    @Inject(getJobQueueToken('reports')) readonly queue: JobQueue,
  ) {}

  async write(text: string): Promise<string> {
    return this.main.transactional((main) =>
      this.reports.transactional(async (reports) => {
        main.create(Note, { text: `${text} in main` });
        reports.create(Note, { text: `${text} in reports` });
        await Promise.all([main.flush(), reports.flush()]);
        if (text === 'fail') {
          throw new Error('on purpose');
        }
        return text;
      }),
    );
  }
}

@Controller('both')
class BothController {
  constructor(private readonly both: Both) {}

  @Post(':text')
  write(@Param('text') text: string): Promise<string> {
    return this.both.write(text);
  }
}

@Injectable()
@JobHandler({ queue: 'of-main', retryLimit: 0 })
class MainHandler implements JobWorker<string, string> {
  constructor(private readonly both: Both) {}

  async handle(text: string): Promise<string> {
    await this.both.queue.send('of-reports', `${text}, sent on`);
    return this.both.write(text);
  }
}

@Injectable()
@JobHandler({ queue: 'of-reports', retryLimit: 0, contextName: 'reports' })
class ReportsHandler implements JobWorker<string, string> {
  constructor(private readonly both: Both) {}

  handle(text: string): Promise<string> {
    return this.both.write(text);
  }
}

describe.each(injections)('SessionTesting with two connections, %s injection', (injection) => {
  let main: TestDatabase;
  let reports: TestDatabase;
  let app: TestApp;
  let testing: SessionTesting<EntityManager>;

  beforeAll(async () => {
    [main, reports] = await Promise.all([createTestDatabase(), createTestDatabase()]);
    app = await startTestApp({
      databaseUrl: main.url,
      session: { injection },
      imports: [
        MikroOrmModule.forRoot(ormOptions(reports.url, { contextName: 'reports' })),
        SessionModule.forRoot({ contextName: 'reports', injection }),
        JobQueueModule.forRoot({ work: false }),
        JobQueueModule.forRoot({ work: false, contextName: 'reports' }),
      ],
      controllers: [BothController],
      providers: [Both, MainHandler, ReportsHandler],
    });
    await app.get<MikroORM>(getMikroORMToken('reports')).schema.update();
    testing = await SessionTesting.create<EntityManager>(app.app);
  });

  afterAll(async () => {
    await app.app.close();
    await Promise.all([main.drop(), reports.drop()]);
  });

  beforeEach(() => testing.begin());

  afterEach(async () => {
    await testing.rollBack();
    const left = 'select text from note union all select name from pgboss.job';
    // Nothing is ever there for others, whatever a test did.
    expect(await Promise.all([main.query(left), reports.query(left)])).toEqual([[], []]);
  });

  const texts = (contextName?: string): Promise<string[]> =>
    testing.run(
      async (session) => (await session.find(Note, {}, { orderBy: { text: 'asc' } })).map(({ text }) => text),
      contextName === undefined ? {} : { contextName },
    );
  const post = async (text: string): Promise<number> =>
    (await fetch(`${app.url}/both/${text}`, { method: 'POST' })).status;

  it('gives each a transaction, and a request a transaction in both', async () => {
    await testing.run(async (session) => session.create(Note, { text: 'a seed' }), { contextName: 'reports' });

    const statuses = await Promise.all(['a', 'fail', 'b'].map(post));

    expect(statuses).toEqual([201, 500, 201]);
    expect(await texts()).toEqual(['a in main', 'b in main']);
    expect(await texts('reports')).toEqual(['a in reports', 'a seed', 'b in reports']);
  });

  it('lets no session of one connection wait for the other', async () => {
    const factory = app.get<SessionFactory<EntityManager>>(getSessionFactoryToken('reports'));

    const seen = await testing.run(async (session) => {
      session.create(Note, { text: 'held' });
      await session.flush();
      return factory.begin((other) => other.count(Note));
    });

    expect(seen).toBe(0);
  });

  it('runs jobs of each', async () => {
    const jobs = app.get<JobService<EntityManager>>(getJobServiceToken('reports'));

    await jobs.map(['a', 'b'], (session, text) => session.create(Note, { text }), { concurrency: 2 });

    expect(await texts('reports')).toEqual(['a', 'b']);
    expect(await texts()).toEqual([]);
  });

  it('drains the queues of each, and what a handler of one sends to the other', async () => {
    await app.get<JobQueue>(JobQueue).send('of-main', 'a');

    const { attempts, left } = await testing.drain();

    expect(attempts).toMatchObject([
      { queue: 'of-main', status: 'fulfilled', value: 'a' },
      { queue: 'of-reports', status: 'fulfilled', value: 'a, sent on' },
    ]);
    expect(left).toEqual([]);
    expect(await texts('reports')).toEqual(['a in reports', 'a, sent on in reports']);
  });

  it('drains a queue of the second connection by its name', async () => {
    const queue = app.get<JobQueue>(getJobQueueToken('reports'));
    await testing.run(() => queue.send('of-reports', 'in a transaction'), { contextName: 'reports' });
    await queue.send('of-reports', 'fail');

    const { attempts } = await testing.drain('of-reports');

    expect(attempts.map(({ input, status }) => `${String(input)} ${status}`).toSorted()).toEqual([
      'fail rejected',
      'in a transaction fulfilled',
    ]);
    expect(await texts()).toEqual(['in a transaction in main']);
  });

  it('ends on both what a test has not awaited', async () => {
    const held = Promise.withResolvers<void>();
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    const forgotten = Promise.allSettled([
      factory.begin(async (session) => {
        session.create(Note, { text: 'forgotten' });
        await session.flush();
        await testing.run(
          async (other) => {
            other.create(Note, { text: 'forgotten' });
            await other.flush();
            held.resolve();
            await other.execute('select pg_sleep(60)');
          },
          { contextName: 'reports' },
        );
      }),
    ]);
    await held.promise;

    await testing.rollBack();

    expect(await forgotten).toMatchObject([{ status: 'rejected' }]);
  });

  it('is one for all connections of an application', async () => {
    await expect(SessionTesting.create(app.app)).rejects.toThrow(/by another SessionTesting of this application/);
    await testing.rollBack();
    testing.end();
    const other = await SessionTesting.create(app.app);
    await testing.begin();

    await expect(other.begin()).rejects.toThrow(/by another SessionTesting of this application/);
  });

  it('begins no test where one of them cannot', async () => {
    await testing.rollBack();
    await reports.query(`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()`);
    const name = new URL(reports.url).pathname.slice(1);
    await main.query(`alter database "${name}" allow_connections false`);

    const begun = await Promise.allSettled([testing.begin()]);

    await main.query(`alter database "${name}" allow_connections true`);
    expect(begun).toMatchObject([{ status: 'rejected' }]);
    await testing.begin();
    expect(await texts('reports')).toEqual([]);
  });
});
