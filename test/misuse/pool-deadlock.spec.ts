import type { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Get } from '@nestjs/common';
import { InjectSession, JobService, SessionFactory, SessionPoolDeadlockError } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { injections, platforms, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { describeUnless } from '../support/unless.js';

const SIZE = 2;

@Controller()
class NestingController {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly factory: SessionFactory<EntityManager>,
  ) {}

  @Get()
  async nest(): Promise<string> {
    await this.session.begin();
    await this.session.count(Note);
    try {
      return await this.factory.begin(async (inner) => `inner saw ${await inner.count(Note)}`);
    } catch (error) {
      return error instanceof SessionPoolDeadlockError ? error.code : String(error);
    } finally {
      await this.session.rollback();
    }
  }
}

const ONE = { sqlite: 'It has one connection. What cannot end there is in test/drivers.' };

describeUnless(ONE)('a pool whose connections are all held by who waits for one more', () => {
  let database: TestDatabase;
  let app: TestApp;
  let factory: SessionFactory<EntityManager>;
  let jobs: JobService<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({ databaseUrl: database.url, orm: { pool: { min: 0, max: SIZE } } });
    factory = app.get(SessionFactory);
    jobs = app.get(JobService);
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  /** A block that holds a connection. */
  const hold = <Result>(
    work: (session: EntityManager) => Result | Promise<Result>,
    options?: { readonly label: string },
  ): Promise<Result> =>
    factory.begin(async (session) => {
      await session.count(Note);
      return work(session);
    }, options);

  it('fails the newest wait, names the holders, and lets the others go on', async () => {
    const meet = barrier(SIZE);
    const waiting: string[] = [];

    const outcomes = new Map(
      await Promise.all(
        ['left', 'right'].map(async (label) => {
          const [outcome] = await Promise.allSettled([
            hold(
              async () => {
                await meet();
                waiting.push(label);
                return factory.begin(async (inner) => inner.count(Note), { label: `within ${label}` });
              },
              { label },
            ),
          ]);
          return [label, outcome] as const;
        }),
      ),
    );

    expect(waiting.map((label) => outcomes.get(label))).toMatchObject([
      { status: 'fulfilled', value: 0 },
      {
        status: 'rejected',
        reason: {
          code: 'SESSION_POOL_DEADLOCK',
          message: expect.stringMatching(
            RegExp(
              `^"within ${waiting[1]}" waits for a connection, but all 2 of the pool are held .* ` +
                String.raw`(?:"left" \(for \d+ ms\); "right"|"right" \(for \d+ ms\); "left") \(for \d+ ms\)\.`,
            ),
          ),
        },
      },
    ]);
  });

  it('fails jobs that were started in the transactions that hold it', async () => {
    const meet = barrier(SIZE);

    const results = await Promise.allSettled(
      [1, 2].map(() =>
        hold(async () => {
          await meet();
          return jobs.map([1], (session) => session.count(Note));
        }),
      ),
    );

    const failed = results.filter(({ status }) => status === 'rejected');
    expect(failed).toHaveLength(1);
    expect(failed).toMatchObject([{ reason: { errors: [{ cause: { code: 'SESSION_POOL_DEADLOCK' } }] } }]);
  });

  it('fails a query of the same scope outside of its transaction', async () => {
    const meet = barrier(SIZE);

    const results = await Promise.allSettled(
      [1, 2].map(() =>
        hold(async () => {
          await meet();
          return app.orm.em.fork().count(Note);
        }),
      ),
    );

    expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
  });

  it('tells where the holders were opened, when that is known', async () => {
    const watched = await startTestApp({
      databaseUrl: database.url,
      session: { leakAfter: 60_000 },
      orm: { pool: { min: 0, max: 1 } },
    });
    const own = watched.get<SessionFactory<EntityManager>>(SessionFactory);

    const nested = own.begin(async (outer) => {
      await outer.count(Note);
      return own.begin((inner) => inner.count(Note));
    });

    await expect(nested).rejects.toThrow('pool-deadlock.spec.ts');
    await watched.app.close();
  });

  it('is no deadlock while one holder does not wait', async () => {
    const gate = Promise.withResolvers<void>();
    const meet = barrier(SIZE);

    const holder = hold(async () => {
      await meet();
      await gate.promise;
    });
    const nested = hold(async () => {
      await meet();
      const inner = factory.begin((session) => session.count(Note));
      gate.resolve();
      return inner;
    });

    expect(await nested).toBe(0);
    await holder;
  });

  it('is no deadlock when many tasks wait in line', async () => {
    const counts = await Promise.all(
      Array.from({ length: 50 }, () => factory.begin(async (session) => session.count(Note))),
    );
    const parallelReads = await factory.run((session) =>
      Promise.all(Array.from({ length: 20 }, () => session.count(Note))),
    );

    expect([...counts, ...parallelReads]).toEqual(Array(70).fill(0));
  });
});

describeUnless(ONE).each(platforms)('requests that hold a connection and want another, over %s', (platform) => {
  it.each(injections)('end all, with %s injection', async (injection) => {
    const database = await createTestDatabase();
    const app = await startTestApp({
      databaseUrl: database.url,
      platform,
      session: { injection },
      orm: { pool: { min: 0, max: SIZE } },
      controllers: [NestingController],
    });

    const answers = await Promise.all(
      Array.from({ length: 20 }, () => fetch(app.url).then((response) => response.text())),
    );

    expect(answers).toHaveLength(20);
    expect(new Set(answers)).toEqual(new Set(['SESSION_POOL_DEADLOCK', 'inner saw 0']));
    await app.close();
    await database.drop();
  });
});

/** Returns a function that waits until it was called by all. */
function barrier(count: number): () => Promise<void> {
  const gate = Promise.withResolvers<void>();
  let arrived = 0;
  return () => {
    arrived += 1;
    if (arrived === count) {
      gate.resolve();
    }
    return gate.promise;
  };
}
