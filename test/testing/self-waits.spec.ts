import type { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Get, Injectable, Post } from '@nestjs/common';
import { InjectSession, JobService, type JobWorker, SessionFactory, SessionRegistry } from 'nestjs-mikro-session';
import { JobHandler, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';
import { SessionTesting } from 'nestjs-mikro-session/testing';

import { CapturedLog } from '../support/captured-log.js';
import { Note } from '../support/note.entity.js';
import { injections, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    'self-waits': string;
  }
}

/** What says what to do. */
const advice = /share one connection|whose connection the jobs need/;

/** Says what was wrong, also with each of several jobs. */
function tell(error: unknown): string {
  return error instanceof AggregateError ? error.errors.map(tell).join() : String(error);
}

/** What the request and the handler do: each test decides. */
@Injectable()
class Desk {
  onRequest: (session: EntityManager) => Promise<unknown> = async () => undefined;
  onJob: (session: EntityManager) => Promise<unknown> = async () => undefined;
}

@Controller('desk')
class DeskController {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly desk: Desk,
  ) {}

  @Post()
  async work(): Promise<string> {
    try {
      return String(await this.desk.onRequest(this.session));
    } catch (error) {
      return tell(error);
    }
  }

  @Get()
  async count(): Promise<string> {
    try {
      return String(await this.session.count(Note));
    } catch (error) {
      return tell(error);
    }
  }
}

@Injectable()
@JobHandler({ queue: 'self-waits', retryLimit: 0 })
class DeskHandler implements JobWorker<string, unknown> {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly desk: Desk,
  ) {}

  handle(): Promise<unknown> {
    return this.desk.onJob(this.session);
  }
}

describe.each(injections)('a session of a test that waits for itself, %s injection', (injection) => {
  let database: TestDatabase;
  let app: TestApp;
  let testing: SessionTesting<EntityManager>;
  let factory: SessionFactory<EntityManager>;
  let jobs: JobService<EntityManager>;
  let desk: Desk;
  let log: CapturedLog;

  beforeAll(async () => {
    database = await createTestDatabase();
    log = new CapturedLog();
    app = await startTestApp({
      databaseUrl: database.url,
      session: { injection },
      imports: [JobQueueModule.forRoot({ work: false })],
      controllers: [DeskController],
      providers: [Desk, DeskHandler],
    });
    testing = await SessionTesting.create<EntityManager>(app.app);
    [factory, jobs, desk] = [app.get(SessionFactory), app.get(JobService), app.get(Desk)];
  });

  afterAll(async () => {
    await app.app.close();
    log[Symbol.dispose]();
    await database.drop();
  });

  beforeEach(() => testing.begin());

  afterEach(async () => {
    await testing.rollBack();
    expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
    expect(await database.query('select text from note')).toEqual([]);
  });

  const ask = async (method: 'GET' | 'POST'): Promise<string> => (await fetch(`${app.url}/desk`, { method })).text();
  const write = async (session: EntityManager, text: string): Promise<void> => {
    session.create(Note, { text });
    await session.flush();
  };
  const count = (session: EntityManager): Promise<number> => session.count(Note);

  /** Gives what became of it, and how long that took. */
  async function timed(work: Promise<unknown>): Promise<{ answer: string; ms: number }> {
    const before = performance.now();
    const answer = await work.then(String, tell);
    return { answer, ms: performance.now() - before };
  }

  const AT_ONCE_MS = 1_000;
  /** Where nobody can know whether it waits for itself. */
  const SOON_MS = 4_000;

  it.each<[string, (session: EntityManager) => Promise<unknown>]>([
    ['a begin() block', () => factory.begin(count)],
    ['a run() block', () => factory.run(count)],
    ['a job', async () => jobs.map([1], count)],
    ['jobs side by side', async () => jobs.map([1, 2, 3], count, { concurrency: 3 })],
    ['run() of the test', async () => testing.run(count)],
    ['a begin() block in a job', async () => jobs.map([1], () => factory.begin(count))],
    ['both of two that it starts', () => Promise.all([factory.begin(count), factory.run(count)])],
  ])('gets an error at once: a transaction that waits for %s', async (_what, waitFor) => {
    const { answer, ms } = await timed(
      factory.begin(async (session) => {
        await write(session, 'held');
        return waitFor(session);
      }),
    );

    expect(answer).toMatch(advice);
    expect(ms).toBeLessThan(AT_ONCE_MS);
    expect(await testing.run(count)).toBe(0);
  });

  it('gets an error at once in a request: a job in a begin() block', async () => {
    desk.onRequest = () =>
      factory.begin(async (session) => {
        await write(session, 'held');
        return jobs.map([1], count);
      });

    const { answer, ms } = await timed(ask('POST'));

    expect(answer).toMatch(advice);
    expect(ms).toBeLessThan(AT_ONCE_MS);
    expect(await ask('GET')).toBe('0');
  });

  it('gets an error at once: a transaction that drains the queue that it sends to', async () => {
    await app.get<JobQueue>(JobQueue).send('self-waits', 'a');
    desk.onJob = count;

    const { answer, ms } = await timed(
      factory.begin(async (session) => {
        await write(session, 'held');
        return testing.drain('self-waits');
      }),
    );

    expect(answer).toMatch(advice);
    expect(ms).toBeLessThan(AT_ONCE_MS);
  });

  it('gets an error at once: a durable job whose handler waits for another session', async () => {
    await app.get<JobQueue>(JobQueue).send('self-waits', 'a');
    desk.onJob = async (session) => {
      await write(session, 'held');
      return factory.begin(count);
    };

    const { attempts } = await testing.drain('self-waits');

    expect(attempts).toMatchObject([
      { status: 'rejected', reason: { message: expect.stringMatching(advice) as string } },
    ]);
  });

  it('gets an error at once: a durable job whose handler drains its queue', async () => {
    await app.get<JobQueue>(JobQueue).send('self-waits', 'a');
    desk.onJob = async (session) => {
      await write(session, 'held');
      return testing.drain('self-waits');
    };

    const { attempts } = await testing.drain('self-waits');

    expect(attempts).toMatchObject([
      { status: 'rejected', reason: { message: expect.stringMatching(advice) as string } },
    ]);
  });

  it('gets an error at once: a nested transaction that opens a forked session', async () => {
    const { answer, ms } = await timed(
      factory.begin(async (session) => {
        await write(session, 'held');
        return session.transactional(async (nested) => {
          await write(nested, 'nested');
          return count(app.orm.em.fork());
        });
      }),
    );

    expect(answer).toMatch(advice);
    expect(ms).toBeLessThan(AT_ONCE_MS);
  });

  it('gets an error at once: the reader of a stream who starts another session', async () => {
    await testing.run((session) =>
      session.execute(`insert into note (text) select 'note' from generate_series(1, 5000)`),
    );

    const { answer, ms } = await timed(
      factory.run(async (session) => {
        for await (const _ of session.stream(Note, {})) {
          await factory.begin(count);
        }
      }),
    );

    expect(answer).toMatch(advice);
    expect(ms).toBeLessThan(AT_ONCE_MS);
    expect(await testing.run(count)).toBe(5000);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['the test', () => testing.run(async (session) => (await write(session, 'held'), ask('GET')))],
    [
      'a job of a request',
      async () => {
        desk.onRequest = () =>
          jobs.map([1], (session) => session.transactional(async (inner) => (await write(inner, 'held'), ask('GET'))));
        return ask('POST');
      },
    ],
    [
      'the reader of a stream',
      () =>
        factory.run(async (session) => {
          const answers: string[] = [];
          await session.execute(`insert into note (text) select 'note' from generate_series(1, 5000)`);
          for await (const _ of session.stream(Note, {})) {
            answers.push(await ask('GET'));
            break;
          }
          return answers;
        }),
    ],
  ])('gets an error soon: a request that waits for the transaction of %s', async (_who, run) => {
    const { answer, ms } = await timed(run());

    expect(answer).toMatch(advice);
    expect(ms).toBeLessThan(SOON_MS);
  });

  it('gets none where two sessions that run side by side take their turns', async () => {
    await Promise.all(
      ['a', 'b', 'c'].map((text) =>
        factory.begin(async (session) => {
          await write(session, text);
          await session.transactional((nested) => write(nested, `${text} nested`));
        }),
      ),
    );

    expect(await testing.run(count)).toBe(6);
  });

  it('gets an error soon where two transactions wait for each other', async () => {
    const first = Promise.withResolvers<void>();
    const second = Promise.withResolvers<void>();

    const { answer, ms } = await timed(
      Promise.all([
        factory.begin(async (session) => {
          await write(session, 'one');
          first.resolve();
          await second.promise;
        }),
        factory.begin(async (session) => {
          await first.promise;
          try {
            await write(session, 'other');
          } finally {
            second.resolve();
          }
        }),
      ]),
    );

    expect(answer).toMatch(advice);
    expect(ms).toBeLessThan(SOON_MS);
  });
});
