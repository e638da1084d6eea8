import { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Get, Injectable, Param } from '@nestjs/common';
import { InjectSession, JobService, SessionContext, SessionFactory, SessionOwnershipError } from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { Note } from '../support/note.entity.js';
import { injections, platforms, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { itUnless } from '../support/unless.js';

/** The mistake: a singleton that keeps the session of whoever came first. */
@Injectable()
class Keeper {
  readonly kept = Promise.withResolvers<EntityManager>();
  readonly release = Promise.withResolvers<void>();
}

@Controller()
class KeeperController {
  constructor(
    private readonly keeper: Keeper,
    private readonly context: SessionContext<EntityManager>,
    @InjectSession() private readonly session: EntityManager,
  ) {}

  @Get('keeps/:warm')
  async keeps(@Param('warm') warm: string): Promise<number> {
    if (warm === 'warm') {
      await this.session.execute('select 1');
    }
    this.keeper.kept.resolve(this.context.current);
    await this.keeper.release.promise;
    return this.session.count(Note);
  }

  @Get('borrows')
  async borrows(): Promise<string[]> {
    const session = await this.keeper.kept.promise;
    const uses = [
      () => session.find(Note, {}),
      () => session.execute('select 1'),
      () => session.flush(),
      () => session.transactional(async () => 0),
      async () => session.persist(new Note()),
      async () => session.createQueryBuilder(Note),
    ];
    const results = await Promise.allSettled(uses.map((use) => use()));
    return results.map((result) =>
      result.status === 'rejected' ? `${result.reason.code}: ${result.reason.message}` : 'no error',
    );
  }
}

const describeMistake = (owner: string, user: string): string =>
  `The session of "${owner}" was used ${user}. ` +
  'A session belongs to one task: inject one with @InjectSession(), or open one with SessionFactory.run().';

describe.each(platforms)('a session shared by two requests over %s', (platform) => {
  describe.each(injections)('with %s injection', (injection) => {
    let database: TestDatabase;
    let app: TestApp;

    beforeAll(async () => {
      database = await createTestDatabase();
    });

    beforeEach(async () => {
      app = await startTestApp({
        databaseUrl: database.url,
        platform,
        session: { injection },
        controllers: [KeeperController],
        providers: [Keeper],
      });
    });

    afterEach(() => app.close());

    afterAll(() => database.drop());

    it.each(['warm', 'cold'])(
      'is refused to the second one, and goes on serving the first, on a %s connection',
      async (state) => {
        const keeps = fetch(`${app.url}/keeps/${state}`);
        await app.get<Keeper>(Keeper).kept.promise;

        const borrowed = await fetch(`${app.url}/borrows`).then((response) => response.json());
        app.get<Keeper>(Keeper).release.resolve();

        const message = `SESSION_OWNERSHIP: ${describeMistake(`GET /keeps/${state}`, 'in "GET /borrows"')}`;
        expect(borrowed).toEqual(Array(6).fill(message));
        expect(await keeps.then((response) => response.json())).toBe(0);
      },
    );
  });
});

const TURNS = { sqlite: 'Its jobs run one after the other there, and would wait for each other for ever.' };

describe('a session used outside of its task', () => {
  let database: TestDatabase;
  let app: TestApp;
  let factory: SessionFactory<EntityManager>;
  let jobs: JobService<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({ databaseUrl: database.url });
    factory = app.get(SessionFactory);
    jobs = app.get(JobService);
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  itUnless(TURNS)('is refused to a sibling job, every time', async () => {
    const first = Promise.withResolvers<EntityManager>();
    const done = Promise.withResolvers<void>();
    let refused = 0;

    const outcomes = await jobs.settle(
      [0, 1, 2, 3],
      async (session, n) => {
        if (n === 0) {
          first.resolve(session);
          await done.promise;
          return session.count(Note);
        }
        const stolen = await first.promise;
        return stolen.count(Note).finally(() => {
          refused += 1;
          if (refused === 3) {
            done.resolve();
          }
        });
      },
      { label: 'Thief' },
    );

    expect(outcomes[0]).toMatchObject({ status: 'fulfilled', value: 0 });
    for (const [i, outcome] of outcomes.slice(1).entries()) {
      expect(outcome).toMatchObject({
        status: 'rejected',
        reason: { message: describeMistake('job 0 of Thief', `in "job ${i + 1} of Thief"`) },
      });
    }
  });

  it('is refused to the jobs that its task starts', async () => {
    const outcomes = await factory.run((outer) => jobs.settle([1], () => outer.count(Note)), { label: 'report' });

    expect(outcomes).toMatchObject([{ reason: { message: describeMistake('report', 'in "job 0 of worker"') } }]);
  });

  itUnless({ sqlite: 'It is used outside of a transaction that keeps the connection.' })(
    'is allowed to the blocks that its task opens one after the other',
    async () => {
      await factory.run(async (outer) => {
        await factory.run(() => outer.count(Note));
        await factory.begin(async () => {
          await factory.run(() => outer.count(Note));
        });

        expect(await outer.count(Note)).toBe(0);
      });
    },
  );

  it('is refused to a parallel block of the main program', async () => {
    const first = Promise.withResolvers<EntityManager>();
    const done = Promise.withResolvers<void>();

    const lends = factory.run(async (session) => {
      first.resolve(session);
      await done.promise;
    });
    const borrows = factory.run(async () => (await first.promise).count(Note)).finally(done.resolve);

    await expect(borrows).rejects.toThrow(SessionOwnershipError);
    await lends;
  });

  it('is refused outside of every scope', async () => {
    const first = Promise.withResolvers<EntityManager>();
    const done = Promise.withResolvers<void>();
    const lends = factory.run(
      async (session) => {
        first.resolve(session);
        await done.promise;
      },
      { label: 'lender' },
    );

    const borrowed = await first.promise;

    expect(() => borrowed.clear()).toThrow(describeMistake('lender', 'outside of every scope'));
    done.resolve();
    await lends;
  });

  it('that was made with create() belongs to the task that made it', async () => {
    await using made = factory.create({ label: 'mine' });

    const outcomes = await jobs.settle([1], () => made.count(Note));
    const inBlock = await factory.run(() => made.count(Note));

    expect(outcomes).toMatchObject([{ reason: { message: describeMistake('mine', 'in "job 0 of worker"') } }]);
    expect(inBlock).toBe(0);
    expect(await made.count(Note)).toBe(0);
  });

  itUnless(TURNS)('that a job made with create() is refused to every other', async () => {
    const first = Promise.withResolvers<EntityManager>();
    const done = Promise.withResolvers<void>();

    const outcomes = await jobs.settle([0, 1], async (_session, n) => {
      if (n === 0) {
        await using made = factory.create();
        first.resolve(made);
        await done.promise;
        return await made.count(Note);
      }
      return (await first.promise).count(Note).finally(done.resolve);
    });

    expect(outcomes).toMatchObject([{ value: 0 }, { reason: { code: 'SESSION_OWNERSHIP' } }]);
  });
});

describe('the option `ownership`', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(() => database.drop());

  /** Uses the session of a block from its jobs, twice in one place. */
  async function misuse(app: TestApp): Promise<string[]> {
    const jobs = app.get<JobService>(JobService);
    const outcomes = await app
      .get<SessionFactory>(SessionFactory)
      .run((outer) => jobs.settle([1, 2], () => outer.count(Note), { concurrency: 1 }));
    return outcomes.map(({ status }) => status);
  }

  itUnless({ sqlite: 'A job keeps the connection from the session that it borrows.' }).each([
    ['warn', 1],
    ['off', 0],
  ] as const)('set to %s lets it pass, with %i warning per place', async (ownership, warnings) => {
    const app = await startTestApp({ databaseUrl: database.url, session: { ownership } });
    using log = new CapturedLog();

    const statuses = await misuse(app);

    expect(statuses).toEqual(['fulfilled', 'fulfilled']);
    expect(log.warnings).toHaveLength(warnings);
    for (const warning of log.warnings) {
      expect(warning).toMatch(/was used in "job 0 of worker".*shared-session\.spec\.ts/);
    }
    await app.close();
  });
});
