import { getMikroORMToken, MikroOrmModule } from '@mikro-orm/nestjs';
import { type EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { Controller, Injectable, Param, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import {
  getSessionFactoryToken,
  InjectSession,
  SessionContext,
  SessionFactory,
  SessionModule,
} from 'nestjs-mikro-session';
import { JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';
import { SessionTesting } from 'nestjs-mikro-session/testing';

import { CapturedLog } from '../support/captured-log.js';
import { Note } from '../support/note.entity.js';
import { ROW_LEVEL_SECURITY } from '../support/row-level-security.js';
import { isSince, itSince } from '../support/since.js';
import { injections, ormOptions, startTestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    'in-tests': { readonly text: string };
  }
}

@Injectable()
class Tenant {
  constructor(
    @InjectSession() readonly session: EntityManager,
    private readonly context: SessionContext<EntityManager>,
  ) {}

  #name(): unknown {
    return this.context.scope?.info['tenant'];
  }

  async count(): Promise<string> {
    return `${String(this.#name())}: ${await this.session.count(Note)}`;
  }
}

interface Kysely {
  executeQuery(query: { readonly sql: string; readonly parameters: readonly unknown[] }): Promise<unknown>;
}

const hasSessionContext = isSince('@mikro-orm/core', { ...ROW_LEVEL_SECURITY, what: 'sessionContext' });
const sessionContexts = [{}, ...(hasSessionContext ? [{ sessionContext: 'connection' as const }] : [])];

const SCOPED_BY_DEPENDENCIES = {
  version: '11.2.10',
  reason:
    'get() of an earlier NestJS gives an unfinished instance of a provider whose dependencies are request-scoped.',
};

const hint =
  /Tenant is marked as a scoped provider.*`await testing.resolve\(Tenant\)` of SessionTesting.*SessionModule/;

@Controller('notes')
class NotesController {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  @Post(':text')
  async add(@Param('text') text: string): Promise<string> {
    this.session.create(Note, { text });
    await this.session.flush();
    if (text === 'fail') {
      throw new Error('failed');
    }
    return text;
  }
}

describe('SessionTesting', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(() => database.drop());

  it.each(injections)('tests a module without an application, for a tenant, with %s injection', async (injection) => {
    const module = await Test.createTestingModule({
      imports: [MikroOrmModule.forRoot(ormOptions(database.url)), SessionModule.forRoot({ injection, http: false })],
      providers: [Tenant],
    }).compile();
    await module.get(MikroORM, { strict: false }).schema.update();
    const testing = await SessionTesting.create<EntityManager>(module);
    await testing.begin();

    await testing.run(async (session) => session.create(Note, { text: 'Ada' }));
    const tenant = await testing.as({ info: { tenant: 'acme' } }).resolve(Tenant);
    const count = await tenant.count();
    const label = await testing.as({ label: 'mine' }).run(() => module.get(SessionContext).scope?.label);

    await testing.rollBack();
    await expect(tenant.count()).rejects.toThrow(/its test had been rolled back/);
    await module.close();
    expect([count, label]).toEqual(['acme: 1', 'mine']);
    expect(await database.query('select from note')).toEqual([]);
  });

  it('tests all connections, of which each has a transaction', async () => {
    const other = await createTestDatabase();
    const app = await startTestApp({
      databaseUrl: database.url,
      imports: [
        MikroOrmModule.forRoot(ormOptions(other.url, { contextName: 'reports' })),
        SessionModule.forRoot({ contextName: 'reports' }),
      ],
    });
    await app.get<MikroORM>(getMikroORMToken('reports')).schema.create();
    const testing = await SessionTesting.create<EntityManager>(app.app);
    const reports = app.get<SessionFactory<EntityManager>>(getSessionFactoryToken('reports'));
    await testing.begin();

    await testing.run(async (session) => session.create(Note, { text: 'main' }));
    await testing.run(async (session) => session.create(Note, { text: 'report' }), { contextName: 'reports' });
    const unknown = await Promise.allSettled([testing.run(() => undefined, { contextName: 'nobody' })]);
    const texts = await Promise.all(
      [app.get<SessionFactory<EntityManager>>(SessionFactory), reports].map((factory) =>
        factory.run(async (session) => (await session.find(Note, {})).map(({ text }) => text)),
      ),
    );

    await testing.rollBack();
    expect(texts).toEqual([['main'], ['report']]);
    expect(unknown).toMatchObject([
      { reason: { message: expect.stringMatching(/no sessions of the connection "nobody"/) as string } },
    ]);
    expect(await database.query('select from note')).toEqual([]);
    expect(await other.query('select from note')).toEqual([]);
    await app.app.close();
    await other.drop();
  });

  it('reads in the test what would come from a replica', async () => {
    const app = await startTestApp({
      databaseUrl: database.url,
      orm: { replicas: [{ name: 'replica', clientUrl: database.url }] },
    });
    const testing = await SessionTesting.create<EntityManager>(app.app);
    await testing.begin();

    await testing.run(async (session) => session.create(Note, { text: 'Ada' }));
    const count = await app.get<SessionFactory<EntityManager>>(SessionFactory).run((session) => session.count(Note));

    await testing.rollBack();
    await app.app.close();
    expect(count).toBe(1);
  });

  it('leaves no durable job that was sent', async () => {
    const app = await startTestApp({
      databaseUrl: database.url,
      imports: [JobQueueModule.forRoot({ work: false, queues: { 'in-tests': {} } })],
    });
    const queue = app.get<JobQueue>(JobQueue);
    const testing = await SessionTesting.create<EntityManager>(app.app);
    await testing.begin();

    await testing.run(() => queue.send('in-tests', { text: 'in a transaction' }));
    await queue.send('in-tests', { text: 'in none' });
    await queue.sendMany('in-tests', [{ text: 'with others' }]);
    const jobs = (session: EntityManager): Promise<unknown[]> =>
      session.execute(`select data from pgboss.job where name = 'in-tests'`);
    const sent = await testing.run(jobs);

    await testing.rollBack();
    testing.end();
    const left = await app.get<SessionFactory<EntityManager>>(SessionFactory).run(jobs);
    await app.app.close();
    expect(sent).toHaveLength(3);
    expect(left).toEqual([]);
  });

  it.each(sessionContexts)('sets each connection up as in production: %o', async (given) => {
    const setUps = { created: 0, reserved: 0 };
    const app = await startTestApp({
      databaseUrl: database.url,
      orm: {
        ...given,
        onCreateConnection: async (connection) => {
          setUps.created += 1;
          await (connection as Kysely).executeQuery({ sql: `set lock_timeout = '7s'`, parameters: [] });
        },
        onReserveConnection: async () => {
          setUps.reserved += 1;
        },
      },
    });
    const testing = await SessionTesting.create<EntityManager>(app.app);
    const look = async (session: EntityManager): Promise<unknown> =>
      session.execute(`select current_setting('lock_timeout') as lock, current_setting('work_mem') as memory`);
    await testing.begin();

    await testing.run((session) => session.execute(`set local work_mem = '5MB'`));
    await testing.run((session) => session.execute(`set work_mem = '6MB'`));
    const seen = await testing.run(look);
    const { reserved } = setUps;

    await testing.rollBack();
    await app.app.close();
    expect(seen).toEqual([{ lock: 'sessionContext' in given ? '0' : '7s', memory: '4MB' }]);
    expect(reserved).toBeGreaterThan(2);
  });

  it('goes on with the next test when the connection of one is lost', async () => {
    const app = await startTestApp({ databaseUrl: database.url });
    const testing = await SessionTesting.create<EntityManager>(app.app);
    const count = (): Promise<number> => testing.run((session) => session.count(Note));
    await testing.begin();
    await count();
    await database.query(`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and state = 'idle in transaction'`);

    await expect(count()).rejects.toThrow(/connection/i);
    await testing.rollBack();
    await testing.begin();
    await testing.run((session) =>
      session.execute(`insert into note (text) select 'note' from generate_series(1, 5000)`),
    );
    const reading = app.get<SessionFactory<EntityManager>>(SessionFactory).run(async (session) => {
      for await (const _ of session.stream(Note, {})) {
        await database.query(`select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and pid <> pg_backend_pid()`);
      }
    });
    await expect(reading).rejects.toThrow(/connection/i);
    await testing.rollBack();
    await testing.begin();
    const seen = await count();

    await testing.rollBack();
    await app.app.close();
    expect(seen).toBe(0);
  });

  it('takes a request that is one transaction', async () => {
    const app = await startTestApp({
      databaseUrl: database.url,
      session: { http: { transaction: true } },
      controllers: [NotesController],
    });
    const testing = await SessionTesting.create<EntityManager>(app.app);
    await testing.begin();

    const statuses = await Promise.all(
      ['a', 'fail', 'b'].map(async (text) => (await fetch(`${app.url}/notes/${text}`, { method: 'POST' })).status),
    );
    const notes = await testing.run((session) => session.find(Note, {}, { orderBy: { text: 'asc' } }));

    await testing.rollBack();
    await app.app.close();
    expect(statuses).toEqual([201, 500, 201]);
    expect(notes.map(({ text }) => text)).toEqual(['a', 'b']);
  });

  it('gives the connections back when the application closes', async () => {
    const seen: number[] = [];
    const app = await startTestApp({
      databaseUrl: database.url,
      providers: [
        {
          provide: 'last',
          useFactory: (factory: SessionFactory<EntityManager>) => ({
            onApplicationShutdown: () => factory.run(async (session) => seen.push(await session.count(Note))),
          }),
          inject: [SessionFactory],
        },
      ],
    });
    const testing = await SessionTesting.create(app.app);
    await testing.begin();
    await testing.rollBack();

    await app.app.close();

    expect(seen).toEqual([0]);
  });

  it('rolls back when the application closes within a test', async () => {
    const app = await startTestApp({ databaseUrl: database.url });
    const testing = await SessionTesting.create<EntityManager>(app.app);
    await testing.begin();
    await testing.run(async (session) => session.create(Note, { text: 'Ada' }));

    const before = performance.now();
    await app.app.close();

    expect(performance.now() - before).toBeLessThan(2_000);
    expect(await database.query('select from note')).toEqual([]);
  });

  itSince('@nestjs/core', SCOPED_BY_DEPENDENCIES)('names what gives a provider that get() cannot give', async () => {
    const module = await Test.createTestingModule({
      imports: [MikroOrmModule.forRoot(ormOptions(database.url)), SessionModule.forRoot()],
      providers: [Tenant],
    }).compile();
    await SessionTesting.create(module);
    await SessionTesting.create(module);

    expect(() => module.get(Tenant)).toThrow(hint);
    expect(() => module.get(Tenant)).not.toThrow(/In a test.*In a test/);
    expect(() => module.get('nobody')).toThrow(/^Nest could not find nobody element/);
    await module.close();
  });

  itSince('@nestjs/core', SCOPED_BY_DEPENDENCIES).each(['create', 'createApplicationContext'] as const)(
    'finds providers of an application of NestFactory.%s(), and names what gives a scoped one',
    async (create) => {
      class AppModule {}
      const root = {
        module: AppModule,
        imports: [MikroOrmModule.forRoot(ormOptions(database.url)), SessionModule.forRoot()],
        providers: [Tenant],
      };
      // NestJS logs what it throws here, and ends the process where `abortOnError` is not false.
      const log = new CapturedLog();
      const app = await NestFactory[create](root, { abortOnError: false });
      await app.init();
      await app.get(MikroORM).schema.update();

      const testing = await SessionTesting.create<EntityManager>(app);
      await testing.begin();
      const tenant = await testing.as({ info: { tenant: 'acme' } }).resolve(Tenant);
      const count = await tenant.count();
      await testing.rollBack();

      expect(app.get(SessionFactory)).toBeInstanceOf(SessionFactory);
      expect(() => app.get(Tenant)).toThrow(hint);
      expect(() => app.get('nobody')).toThrow(/^Nest could not find nobody element/);
      expect(count).toBe('acme: 0');
      await app.close();
      log[Symbol.dispose]();
    },
  );

  it('leads to SessionModule where a provider has no session', async () => {
    const module = Test.createTestingModule({ providers: [Tenant] });

    await expect(module.compile()).rejects.toThrow(
      /the argument "session of SessionModule.forRoot\(\)" at index \[0\]/,
    );
  });

  it('does not start in production, or without SessionModule', async () => {
    const module = await Test.createTestingModule({}).compile();
    const application = await NestFactory.createApplicationContext(class {}, { logger: false });
    const before = process.env['NODE_ENV'];

    await expect(SessionTesting.create(module)).rejects.toThrow(/found no SessionModule/);
    // It does not end the process, as get() of such an application does.
    await expect(SessionTesting.create(application)).rejects.toThrow(/found no SessionModule/);
    process.env['NODE_ENV'] = 'production';
    const created = SessionTesting.create(module);
    process.env['NODE_ENV'] = before;

    await expect(created).rejects.toThrow(/does not start where NODE_ENV is "production"/);
  });
});
