import { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { getMikroORMToken, MikroOrmModule } from '@mikro-orm/nestjs';
import { Controller, Get, Inject, Injectable } from '@nestjs/common';
import {
  getJobServiceToken,
  getSessionContextToken,
  InjectSession,
  JobService,
  type Scope,
  SessionClosedError,
  SessionContext,
  SessionFactory,
  SessionModule,
  UnflushedChangesError,
} from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { injections, ormOptions, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

type Sessions = readonly [main: EntityManager, reports: EntityManager];

@Injectable()
class Both {
  constructor(
    @InjectSession() readonly main: EntityManager,
    @InjectSession('reports') readonly reports: EntityManager,
  ) {}

  async write(text: string): Promise<string[]> {
    this.main.create(Note, { text: `${text} in main` });
    this.reports.create(Note, { text: `${text} in reports` });
    await this.main.flush();
    await this.reports.flush();
    const notes = [await this.main.find(Note, {}), await this.reports.find(Note, {})].flat();
    return notes.map((note) => note.text);
  }
}

@Injectable()
class BothWorker {
  constructor(private readonly both: Both) {}

  handle(text: string): Promise<string[]> {
    return this.both.write(text);
  }
}

@Controller()
class BothController {
  constructor(
    private readonly both: Both,
    private readonly context: SessionContext<EntityManager>,
    @Inject(getSessionContextToken('reports')) private readonly reports: SessionContext<EntityManager>,
  ) {}

  @Get('both')
  write(): Promise<string[]> {
    return this.both.write('request');
  }

  @Get('sessions')
  sessions(): unknown {
    const { main, reports } = this.both;
    return {
      injected: [main.name, reports.name],
      areCurrent: main.id === this.context.current.id && reports.id === this.reports.current.id,
      isOneScope: this.context.scope === this.reports.scope,
    };
  }
}

@Controller('main')
class MainController {
  constructor(@InjectSession() private readonly main: EntityManager) {}

  @Get()
  async count(): Promise<number> {
    return this.main.count(Note);
  }
}

describe.each(injections)('two connections with %s injection', (injection) => {
  let main: TestDatabase;
  let reports: TestDatabase;
  let app: TestApp;
  /** How many sessions of the second connection were made. */
  let opened = 0;
  let context: SessionContext<EntityManager>;
  let reportsContext: SessionContext<EntityManager>;
  let factory: SessionFactory<EntityManager>;

  beforeAll(async () => {
    [main, reports] = await Promise.all([createTestDatabase(), createTestDatabase()]);
    app = await startTestApp({
      databaseUrl: main.url,
      session: { injection, unflushed: 'error' },
      imports: [
        MikroOrmModule.forRoot({ ...ormOptions(reports.url), contextName: 'reports' }),
        SessionModule.forRoot({
          contextName: 'reports',
          injection,
          unflushed: 'error',
          fork: () => {
            opened += 1;
            return {};
          },
        }),
      ],
      controllers: [BothController, MainController],
      providers: [Both, BothWorker],
    });
    context = app.get(SessionContext);
    reportsContext = app.get(getSessionContextToken('reports'));
    factory = app.get(SessionFactory);
    await app.get<MikroORM>(getMikroORMToken('reports')).schema.update();
  });

  beforeEach(async () => {
    await main.query('delete from note');
    await reports.query('delete from note');
  });

  afterAll(async () => {
    await app.close();
    await main.drop();
    await reports.drop();
  });

  const get = async (path: string): Promise<unknown> => (await fetch(`${app.url}/${path}`)).json();
  const open = (): Sessions => [context.current, reportsContext.current];

  it('have a session each in one request', async () => {
    expect(await get('sessions')).toEqual({ injected: ['default', 'reports'], areCurrent: true, isOneScope: true });
    expect(await get('both')).toEqual(['request in main', 'request in reports']);
    expect(await main.query('select text from note')).toEqual([{ text: 'request in main' }]);
    expect(await reports.query('select text from note')).toEqual([{ text: 'request in reports' }]);
  });

  it('have a session each in one job, of the JobService of either', async () => {
    const jobs = app.get<JobService>(JobService);
    const reportJobs = app.get<JobService>(getJobServiceToken('reports'));

    const first = await jobs.map(['job'], BothWorker);
    const second = await reportJobs.map(['report'], BothWorker);

    expect(first).toEqual([['job in main', 'job in reports']]);
    expect(second).toEqual([['job in main', 'report in main', 'job in reports', 'report in reports']]);
    expect(await reports.query('select text from note order by id')).toHaveLength(2);
  });

  it('have their sessions closed together, with what was open rolled back on both', async () => {
    let sessions: Sessions | undefined;

    await factory.run(async () => {
      sessions = open();
      for (const session of sessions) {
        await session.begin();
        session.create(Note, { text: 'never committed' });
        await session.flush();
      }
    });

    for (const session of sessions!) {
      expect(() => session.clear()).toThrow(SessionClosedError);
    }
    expect([...(await main.query('select * from note')), ...(await reports.query('select * from note'))]).toEqual([]);
  });

  it.each(['main', 'reports'])(
    'have the other session closed when that of %s cannot be closed well',
    async (failing) => {
      let sessions: Sessions | undefined;
      let scope: Scope | undefined;

      const running = factory.run(async () => {
        sessions = open();
        ({ scope } = context);
        for (const session of sessions) {
          await session.begin();
        }
        sessions[failing === 'main' ? 0 : 1].create(Note, { text: 'not flushed' });
      });

      await expect(running).rejects.toThrow(UnflushedChangesError);
      expect(scope?.state).toBe('closed');
      for (const session of sessions!) {
        expect(() => session.clear()).toThrow(SessionClosedError);
      }
      for (const database of [main, reports]) {
        await database.untilNoTransaction();
      }
    },
  );

  it('tell of both when neither can be closed well', async () => {
    const running = factory.run(
      () => {
        for (const session of open()) {
          session.create(Note, { text: 'not flushed' });
        }
      },
      { label: 'nightly' },
    );

    await expect(running).rejects.toThrow('2 sessions of "nightly" could not be closed');
  });

  it('cost nothing while they are not used', async () => {
    await reports.until(
      `with ended as materialized (
         select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()
       ) select count(*) = 0 from ended`,
    );

    const before = opened;

    expect(await get('main')).toBe(0);
    await factory.run((session) => session.count(Note));

    expect(opened).toBe(before);
    expect(
      await reports.query(
        'select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      ),
    ).toEqual([]);
  });
});
