import { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Get, Injectable, Param } from '@nestjs/common';
import { InjectSession, JobService, SessionClosedError, SessionFactory, SessionRegistry } from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { HANDS_OUT_POOL } from '../support/hands-out-pool.js';
import { Note } from '../support/note.entity.js';
import { isSince } from '../support/since.js';
import { injections, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { describeUnless, itUnless } from '../support/unless.js';
import { callMethods } from './connection-methods.js';
import { everywhere, type Execute, outsideOfTransactions } from './executions.js';

interface Tables {
  note: { id: number; text: string };
}

type Where = 'outside' | 'within';

const handsOutPool = isSince('@mikro-orm/core', { ...HANDS_OUT_POOL, what: 'getNativeClient()' });

const executionsOf = { outside: outsideOfTransactions, within: everywhere };

const describeMistake = (owner: string, user: string): string =>
  `The session of "${owner}" was used ${user}. ` +
  'A session belongs to one task: inject one with @InjectSession(), or open one with SessionFactory.run().';

const ONE = 'Two sessions are at work at once, and there is one connection.';

describeUnless({ sqlite: ONE })('what a session hands out', () => {
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

  beforeEach(() =>
    database.query(`delete from note; insert into note (text) values ${Array(300).fill(`('x')`).join(', ')}`),
  );

  afterEach(async () => {
    await untilIdle();
    expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
    expect(await database.query(`select * from note where text = 'stolen'`)).toEqual([]);
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  const untilIdle = (): Promise<void> =>
    database.until(
      database.driver === 'mariadb'
        ? `select count(*) = 0 from information_schema.processlist
           where db = database() and command <> 'Sleep' and id <> connection_id()`
        : `select count(*) = 0 from pg_stat_activity
           where datname = current_database() and state <> 'idle' and pid <> pg_backend_pid()`,
    );

  describe.each([
    ['outside of a transaction', 'run', outsideOfTransactions],
    ['in a transaction', 'begin', everywhere],
  ] as const)('%s', (_where, kind, executions) => {
    it.each(executions)('serves its session: %s', async (_name, take) => {
      const work = factory[kind](async (session) => {
        await take(session)();
        await session.nativeDelete(Note, { text: 'stolen' });
        return 'served';
      });

      expect(await work).toBe('served');
    });

    it.each(executions)('is refused to another job, and serves its own still: %s', async (_name, take) => {
      const taken = Promise.withResolvers<Execute>();
      const done = Promise.withResolvers<void>();

      const outcomes = await jobs.settle(
        [0, 1],
        async (session, n) => {
          if (n === 1) {
            const execute = await taken.promise;
            return execute().finally(done.resolve);
          }
          const execute = take(session);
          taken.resolve(execute);
          await done.promise;
          await execute();
          await session.nativeDelete(Note, { text: 'stolen' });
          return 'served';
        },
        { label: 'Thief', transaction: kind === 'begin' ? 'job' : 'none' },
      );

      expect(outcomes).toMatchObject([
        { value: 'served' },
        { reason: { code: 'SESSION_OWNERSHIP', message: describeMistake('job 0 of Thief', 'in "job 1 of Thief"') } },
      ]);
    });

    it.each(executions)('is refused after the end of its scope: %s', async (_name, take) => {
      const execute = await factory[kind]((session) => take(session), { label: 'short' });

      await expect(execute()).rejects.toThrow('The session of "short" was used after its end: it had returned.');
    });
  });

  it('is refused when its session has ended in the middle of a transaction of Kysely, which is rolled back', async () => {
    const began = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();

    const orphan = await factory.run(async (session) => {
      const work = session
        .getKysely<Tables>()
        .transaction()
        .execute(async (kysely) => {
          await kysely.updateTable('note').set({ text: 'stolen' }).execute();
          began.resolve();
          await gate.promise;
          await kysely.selectFrom('note').selectAll().execute();
        });
      await began.promise;
      return [work.catch((error: unknown) => error)];
    });
    gate.resolve();

    expect(await orphan[0]).toBeInstanceOf(SessionClosedError);
  });

  const streams: [string, (session: EntityManager) => AsyncIterator<unknown>][] = [
    ['a query builder', (session) => session.qb(Note).select('*').stream()],
    ['a copy of a query builder', (session) => session.qb(Note).select('*').clone().stream()],
    ['Kysely', (session) => session.getKysely<Tables>().selectFrom('note').selectAll().stream(10)],
    [
      'the connection',
      (session) => session.getConnection().stream('select * from note', [], session.getTransactionContext()),
    ],
  ];

  it.each(streams)(
    'is read no further after the end of its scope, which closes it: a stream of %s',
    async (_name, open) => {
      for (const begins of [false, true]) {
        const [stream] = await factory.run(async (session) => {
          if (begins) {
            await session.begin();
          }
          const rows = open(session);
          expect(await rows.next()).toMatchObject({ done: false });
          return [rows];
        });

        await untilIdle();
        await expect(readOn(stream)).rejects.toThrow(SessionClosedError);
      }
    },
  );

  it.each(streams)('lets the transaction of its rows end: a stream of %s', async (_name, open) => {
    const begun = factory.begin(async (session) => {
      await open(session).next();
    });

    await expect(begun).rejects.toMatchObject({
      code: 'SESSION_STATE',
      message: expect.stringContaining('while a stream of it was half read'),
    });
  });

  /** Reads to the end: Kysely has more rows at hand than it has given. */
  async function readOn(stream: AsyncIterator<unknown> | undefined): Promise<void> {
    while ((await stream?.next())?.done === false) {
      // goes on
    }
  }

  it('may be executed as often as wanted at once', async () => {
    const counts = await factory.run((session) => {
      const kysely = session.getKysely<Tables>();
      const connection = session.getConnection();
      return Promise.all([
        session.qb(Note).getCount(),
        session.qb(Note).getCount(),
        kysely
          .selectFrom('note')
          .selectAll()
          .execute()
          .then((rows) => rows.length),
        kysely
          .selectFrom('note')
          .selectAll()
          .execute()
          .then((rows) => rows.length),
        connection.execute('select * from note').then((rows: unknown[]) => rows.length),
        connection.execute('select * from note').then((rows: unknown[]) => rows.length),
      ]);
    });

    expect(counts).toEqual(Array(6).fill(300));
  });

  it('may be executed in a block that its task opens', async () => {
    const count = await factory.run(async (outer) => {
      const builder = outer.qb(Note);
      return factory.run(() => builder.getCount());
    });

    expect(count).toBe(300);
  });

  itUnless({ mariadb: 'It knows no LIMIT in a subquery of IN.' })(
    'may be part of a statement of another session, which executes that',
    async () => {
      const foreign = await factory.run((session) => session.qb(Note).select('id').where({ text: 'x' }).limit(2));

      const found = await factory.run(async (session) => [
        await session
          .qb(Note)
          .where({ id: { $in: foreign } })
          .getResult(),
        await session.find(Note, { id: { $in: foreign.toRaw() } }),
        await session.execute(foreign.getFormattedQuery()),
      ]);

      expect(found.map((rows) => rows.length)).toEqual([2, 2, 2]);
      await expect(foreign.execute()).rejects.toThrow(SessionClosedError);
    },
  );

  it('is refused where its rows are cached', async () => {
    const builder = await factory.run(async () => {
      const own = app.orm.em.qb(Note).select('*').cache(['handed out', 60_000]);
      expect(await own.execute()).toHaveLength(300);
      return own;
    });

    await expect(factory.run(() => builder.execute())).rejects.toThrow(SessionClosedError);
  });

  it('refuses all methods of a connection that reach the database', async () => {
    const [connection] = await factory.run((session) => [session.getConnection()]);

    expect(await callMethods(connection)).toEqual([
      'begin: SESSION_CLOSED',
      'callRoutine: SESSION_CLOSED',
      'execute: SESSION_CLOSED',
      'executeDump: SESSION_CLOSED',
      ...(handsOutPool ? ['getNativeClient: SESSION_CLOSED'] : []),
      'stream: SESSION_CLOSED',
      'transactional: SESSION_CLOSED',
    ]);
  });

  it('is what MikroORM hands out', async () => {
    await factory.run(async (session) => {
      const raw = session.getDriver().getConnection();

      expect(session.getConnection()).toBe(session.getConnection());
      expect(session.getConnection()).toBeInstanceOf(raw.constructor);
      expect(session.getConnection().constructor).toBe(raw.constructor);
      expect(await session.getConnection().isConnected()).toBe(true);
      expect(session.getKysely()).toBe(session.getKysely());
      expect(session.getKysely()).toBeInstanceOf(raw.getClient().constructor);
      expect(session.getKysely().isTransaction).toBe(false);
      await session.transactional(() => expect(session.getKysely().isTransaction).toBe(true));
    });
  });

  it('keeps the transaction that it was taken in, or none', async () => {
    const seen = await factory.run(async (session) => {
      const [before, kysely] = [session.qb(Note), session.getKysely<Tables>()];
      const counts = await session.transactional(async () => {
        await session.nativeDelete(Note, {});
        const rows = await kysely.selectFrom('note').selectAll().execute();
        const own = await session.getKysely<Tables>().selectFrom('note').selectAll().execute();
        return [await before.getCount(), rows.length, await session.qb(Note).getCount(), own.length];
      });
      return counts;
    });

    expect(seen).toEqual([300, 300, 0, 0]);
    await database.query(`delete from note`);
  });

  it.each(['Kysely', 'Kysely with names of entities'])(
    'writes nothing after the end of the transaction that it was taken in: %s',
    async (name) => {
      const options = name === 'Kysely' ? {} : { tableNamingStrategy: 'table' as const };
      await factory.run(async (session) => {
        const kysely = await session.transactional((inner) => [inner.getKysely(options)]);

        const late = kysely[0]
          ?.insertInto('note' as never)
          .values({ text: 'stolen' })
          .execute();

        await expect(late).rejects.toThrow('Transaction is already committed');
      });
    },
  );
});

/** The mistake: a singleton that keeps what a request was handed out. */
@Injectable()
class Keeper {
  readonly kept = Promise.withResolvers<[string, Execute][]>();
  readonly release = Promise.withResolvers<void>();
}

@Controller()
class KeeperController {
  constructor(
    private readonly keeper: Keeper,
    @InjectSession() private readonly session: EntityManager,
  ) {}

  @Get('keeps/:where')
  keeps(@Param('where') where: Where): Promise<string> {
    return this.#in(where, async () => {
      this.#keep(where);
      await this.keeper.release.promise;
      return 'kept';
    });
  }

  @Get('leaves/:where')
  leaves(@Param('where') where: Where): Promise<string> {
    return this.#in(where, async () => {
      this.#keep(where);
      return 'left';
    });
  }

  @Get('borrows')
  async borrows(): Promise<string[]> {
    const answers: string[] = [];
    for (const [name, execute] of await this.keeper.kept.promise) {
      const answer = await execute().then(
        () => 'no error',
        (error: unknown) => (error instanceof Error ? error.message : ''),
      );
      answers.push(`${name}: ${answer}`);
    }
    return answers;
  }

  #in(where: Where, work: () => Promise<string>): Promise<string> {
    return where === 'within' ? this.session.transactional(work) : work();
  }

  #keep(where: Where): void {
    this.keeper.kept.resolve(executionsOf[where].map(([name, take]) => [name, take(this.session)]));
  }
}

describe.each(injections)('what a session hands out, with %s injection', (injection) => {
  let database: TestDatabase;
  let app: TestApp;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  beforeEach(async () => {
    app = await startTestApp({
      databaseUrl: database.url,
      session: { injection },
      controllers: [KeeperController],
      providers: [Keeper],
    });
  });

  afterEach(async () => {
    await app.close();
    expect(await database.query('select * from note')).toEqual([]);
  });

  afterAll(() => database.drop());

  const get = (path: string): Promise<unknown> =>
    fetch(`${app.url}/${path}`).then(async (response) => {
      const body = await response.text();
      return body.startsWith('[') ? JSON.parse(body) : body;
    });

  it.each<Where>(['outside', 'within'])('is refused to another request: %s a transaction', async (where) => {
    const keeps = get(`keeps/${where}`);
    await app.get<Keeper>(Keeper).kept.promise;

    const answers = await get('borrows');
    app.get<Keeper>(Keeper).release.resolve();

    const message = describeMistake(`GET /keeps/${where}`, 'in "GET /borrows"');
    expect(answers).toEqual(executionsOf[where].map(([name]) => `${name}: ${message}`));
    expect(await keeps).toBe('kept');
  });

  it.each<Where>(['outside', 'within'])('is refused after its response: %s a transaction', async (where) => {
    expect(await get(`leaves/${where}`)).toBe('left');

    const answers = await get('borrows');

    expect(answers).toEqual(
      executionsOf[where].map(([name]) =>
        expect.stringMatching(
          `^${name}: The session of "GET /leaves/${where}" was used after its end: its response was sent`,
        ),
      ),
    );
  });

  it('is that of no session outside of every scope', async () => {
    const connection = app.orm.em.getConnection();

    expect(await connection.execute('select 1 as n')).toEqual([{ n: 1 }]);
  });
});

describe('the option `ownership`', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(() => database.drop());

  itUnless({ sqlite: 'A job keeps the connection from the session that it borrows.' }).each([
    ['warn', 1],
    ['off', 0],
  ] as const)('set to %s lets what was handed out pass, with %i warning per place', async (ownership, warnings) => {
    const app = await startTestApp({ databaseUrl: database.url, session: { ownership } });
    const jobs = app.get<JobService>(JobService);
    using log = new CapturedLog();

    const outcomes = await app.get<SessionFactory<EntityManager>>(SessionFactory).run((outer) => {
      const kysely = outer.getKysely<Tables>();
      return jobs.settle([1, 2], () => kysely.selectFrom('note').selectAll().execute(), { concurrency: 1 });
    });

    expect(outcomes).toMatchObject([{ value: [] }, { value: [] }]);
    expect(log.warnings).toHaveLength(warnings);
    await app.close();
  });
});
