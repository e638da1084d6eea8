import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { Controller, Get } from '@nestjs/common';
import {
  CommitUnknownError,
  InjectSession,
  JobService,
  SessionClosedError,
  SessionFactory,
} from 'nestjs-mikro-session';

import { NetworkProxy } from '../support/network-proxy.js';
import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const POOL_SIZE = 2;
const TIMEOUT_MS = 200;
/** What an outcome may take after its time, on a machine that does much else. */
const GRACE_MS = 2_000;

type Work = (session: EntityManager) => Promise<unknown>;

@Controller()
class SlowController {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  @Get('slow')
  slow(): Promise<unknown> {
    return this.session.execute('select pg_sleep(0)');
  }
}

describe('a network that swallows everything', () => {
  let database: TestDatabase;
  let network: NetworkProxy;
  let app: TestApp;
  let pool: { readonly totalCount: number; readonly idleCount: number; readonly waitingCount: number };

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  beforeEach(async () => {
    network = await NetworkProxy.start(database.url);
    app = await startTestApp({ databaseUrl: network.url, orm: { pool: { min: 0, max: POOL_SIZE } } });
    pool = await (app.orm as MikroORM).driver.getConnection('write').getNativeClient();
  });

  afterEach(async () => {
    await network.heal();
    const started = Date.now();
    await app.app.close();
    expect(Date.now() - started).toBeLessThan(5_000);
    await network.close();
    await database.query('delete from note');
  });

  afterAll(() => database.drop());

  const servesAll = async (): Promise<void> => {
    await network.heal();
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    const allHold = Promise.withResolvers<void>();
    let holders = 0;
    const hold = (): Promise<void> =>
      factory.begin(async (session) => {
        await session.execute('select 1');
        holders += 1;
        if (holders === POOL_SIZE) {
          allHold.resolve();
        }
        await allHold.promise;
      });
    await Promise.all(Array.from({ length: POOL_SIZE }, hold));
  };

  const at = (text: RegExp): void => void network.once('statement', text, () => network.swallow());

  const states: Record<string, { readonly die: () => unknown; readonly work: Work }> = {
    'an idle connection': { die: () => network.swallow(), work: (session) => session.count(Note) },
    BEGIN: { die: () => at(/^begin/), work: (session) => session.count(Note) },
    'a statement': { die: () => at(/pg_sleep/), work: (session) => session.execute('select pg_sleep(0)') },
    'a flush': {
      die: () => at(/^insert/),
      work: async (session) => {
        session.create(Note, { text: 'lost' });
        await session.flush();
      },
    },
    COMMIT: { die: () => at(/^commit/), work: (session) => session.insert(Note, { text: 'lost' }) },
    ROLLBACK: {
      die: () => at(/^rollback/),
      work: async (session) => {
        await session.count(Note);
        throw new Error('on purpose');
      },
    },
    'a stream': {
      die: () => undefined,
      work: async (session) => {
        for await (const _row of session.stream(Note)) {
          network.swallow();
        }
      },
    },
    'a half-read stream': {
      die: () => undefined,
      work: async (session) => {
        await session.stream(Note)[Symbol.asyncIterator]().next();
        network.swallow();
        throw new Error('on purpose');
      },
    },
  };

  describe.each(['timeout', 'signal'] as const)('and a %s', (limit) => {
    it.each(Object.entries(states))('give an outcome in time at %s', async (_name, { die, work }) => {
      await database.query(`insert into note (text) select 'row' from generate_series(1, 300)`);
      const jobs = app.get<JobService<EntityManager>>(JobService);
      await jobs.map([0, 1], (session) => session.count(Note));
      die();
      const started = Date.now();

      const options = limit === 'timeout' ? { timeout: TIMEOUT_MS } : { signal: AbortSignal.timeout(TIMEOUT_MS) };

      const outcomes = await jobs.settle([1], (session) => work(session), options);

      expect(Date.now() - started).toBeLessThan(TIMEOUT_MS + GRACE_MS);
      expect(outcomes).toMatchObject([{ status: 'rejected' }]);
      await servesAll();
    });
  });

  it('makes a commit unknown at the time-out', async () => {
    const jobs = app.get<JobService<EntityManager>>(JobService);
    at(/^commit/);

    const outcomes = await jobs.settle([1], (session) => session.insert(Note, { text: 'lost' }), {
      timeout: TIMEOUT_MS,
    });

    expect(outcomes).toMatchObject([{ status: 'rejected', reason: expect.any(CommitUnknownError) }]);
  });

  it('lets a commit that is late, but answered, be fulfilled', async () => {
    const jobs = app.get<JobService<EntityManager>>(JobService);
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    void network.once(
      'answer',
      /^commit/,
      () => new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve())),
    );

    const outcomes = await jobs.settle([1], (session) => session.insert(Note, { text: 'late' }), { signal });

    expect(outcomes).toMatchObject([{ status: 'fulfilled' }]);
  });

  it('gives up the wait of a job whose time is up, which leaves the queue of the pool', async () => {
    const jobs = app.get<JobService<EntityManager>>(JobService);
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    const isOver = Promise.withResolvers<void>();
    const allHold = Promise.withResolvers<void>();
    let holders = 0;
    const holding = Promise.all(
      Array.from({ length: POOL_SIZE }, () =>
        factory.begin(async (session) => {
          await session.execute('select 1');
          holders += 1;
          if (holders === POOL_SIZE) {
            allHold.resolve();
          }
          await isOver.promise;
        }),
      ),
    );
    await allHold.promise;

    const outcomes = await jobs.settle([1, 2, 3], (session) => session.count(Note), { timeout: 30, concurrency: 3 });
    const before = network.answers;
    isOver.resolve();
    await holding;

    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    // Two commits, and nothing that was begun for nobody.
    expect(network.answers - before).toBe(POOL_SIZE);
    expect(pool.waitingCount).toBe(0);
    await servesAll();
  });

  it('ends the wait of a scope that has ended', async () => {
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    let waiting: Promise<unknown> = Promise.resolve();
    await factory
      .begin(async (one) => {
        await one.execute('select 1');
        await factory.begin(async (two) => {
          await two.execute('select 1');
          await factory.run((three) => {
            waiting = three.count(Note);
            waiting.catch(() => undefined);
          });
        });
      })
      .catch(() => undefined);

    await expect(waiting).rejects.toThrow(SessionClosedError);
  });

  it('lets a begin() whose signal aborts end', async () => {
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    at(/pg_sleep/);
    const started = Date.now();

    const work = factory.begin((session) => session.execute('select pg_sleep(0)'), {
      fork: { signal: AbortSignal.timeout(TIMEOUT_MS), inflightQueryAbortStrategy: 'cancel query' },
    });

    await expect(work).rejects.toThrow(/abort|time/i);
    expect(Date.now() - started).toBeLessThan(TIMEOUT_MS + GRACE_MS);
    await servesAll();
  });

  it.each([
    ['a job', (other: TestApp, work: Work) => other.get<JobService<EntityManager>>(JobService).map([1], work)],
    ['a block', (other: TestApp, work: Work) => other.get<SessionFactory<EntityManager>>(SessionFactory).begin(work)],
    ['a request', (other: TestApp) => fetch(`${other.url}/slow`, { headers: { connection: 'close' } })],
  ])('lets the application close while %s without a time-out waits for an answer', async (_name, start) => {
    const other = await startTestApp({ databaseUrl: network.url, controllers: [SlowController] });
    const isDead = network.once('statement', /pg_sleep/, () => network.swallow());
    const work = Promise.allSettled([start(other, (session) => session.execute('select pg_sleep(0)'))]);
    await isDead;
    const started = Date.now();

    await other.app.close();

    expect(Date.now() - started).toBeLessThan(5_000);
    expect(await work).toHaveLength(1);
  });

  it('lets the application close while a connection opens that never does', async () => {
    const other = await startTestApp({ databaseUrl: network.url });
    const factory = other.get<SessionFactory<EntityManager>>(SessionFactory);
    network.swallow();
    const orm = other.orm as MikroORM;
    await orm.close(true);
    const work = Promise.allSettled([1, 2, 3].map(() => factory.run((session) => session.transactional(() => 1))));
    const started = Date.now();

    await other.app.close();

    expect(Date.now() - started).toBeLessThan(5_000);
    expect((await work).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  });

  it('lets the application close while its first connection opens', async () => {
    const other = await startTestApp({ databaseUrl: network.url });
    const orm = other.orm as MikroORM;
    await orm.close(true);
    const factory = other.get<SessionFactory<EntityManager>>(SessionFactory);
    const work = factory.run((session) =>
      Promise.allSettled([1, 2, 3].map(() => session.fork().transactional(() => 1))),
    );

    await other.app.close();

    expect(await work).toHaveLength(3);
  });
});
