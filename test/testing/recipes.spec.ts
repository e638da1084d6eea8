import type { EntityManager } from '@mikro-orm/postgresql';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import {
  type CanActivate,
  Controller,
  type ExecutionContext,
  Get,
  type INestApplication,
  Injectable,
  Module,
  UseGuards,
} from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  getSessionToken,
  InjectSession,
  InSession,
  JobService,
  type JobWorker,
  SessionContext,
  SessionFactory,
  SessionModule,
} from 'nestjs-mikro-session';
import { JobHandler, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';
import { type OwnDatabase, SessionTesting } from 'nestjs-mikro-session/testing';

import { Note } from '../support/note.entity.js';
import { injections, ormOptions, startTestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    mails: { readonly to: string };
  }
}

@Injectable()
class NotesService {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  count(): Promise<number> {
    return this.session.count(Note);
  }
}

@Injectable()
class TenantGuard implements CanActivate {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, string> }>();
    return (await this.session.count(Note, { tenant: headers['x-tenant'] ?? '' })) > 0;
  }
}

@Controller('notes')
@UseGuards(TenantGuard)
class NotesController {
  constructor(private readonly notes: NotesService) {}

  @Get()
  count(): Promise<number> {
    return this.notes.count();
  }
}

@Injectable()
class Housekeeping {
  constructor(private readonly context: SessionContext<EntityManager>) {}

  @InSession({ transaction: true })
  async purge(): Promise<void> {
    await this.context.current.nativeDelete(Note, { text: 'old' });
  }

  get tenant(): unknown {
    return this.context.scope?.info['tenant'];
  }

  async tenantNow(): Promise<unknown> {
    return this.tenant;
  }
}

@Injectable()
@JobHandler({ queue: 'mails' })
class SendMail implements JobWorker<{ readonly to: string }, string> {
  async handle({ to }: { readonly to: string }): Promise<string> {
    return `sent to ${to}`;
  }
}

describe('the recipes for tests', () => {
  let database: TestDatabase;
  let app: INestApplication;
  let url: string;
  let testing: SessionTesting<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    const started = await startTestApp({
      databaseUrl: database.url,
      imports: [JobQueueModule.forRoot({ work: false })],
      controllers: [NotesController],
      providers: [NotesService, SendMail, Housekeeping],
    });
    ({ app, url } = started);
    await started
      .get<SessionFactory<EntityManager>>(SessionFactory)
      .begin(async (session) => session.create(Note, { text: 'for all tests' }));
    testing = await SessionTesting.create(app);
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  beforeEach(() => testing.begin());

  afterEach(() => testing.rollBack());

  it('seeds and looks', async () => {
    await testing.run(async (session) => session.create(Note, { text: 'Ada' }));

    const notes = await testing.run((session) => session.find(Note, {}, { orderBy: { id: 'asc' } }));

    expect(notes.map(({ text }) => text)).toEqual(['for all tests', 'Ada']);
    expect((await fetch(url)).status).toBe(404);
  });

  it('calls a service', async () => {
    const notes = await testing.resolve(NotesService);

    expect(await notes.count()).toBe(1);
  });

  it('sends a request', async () => {
    await testing.run(async (session) => session.create(Note, { text: 'of acme', tenant: 'acme' }));

    const response = await fetch(`${url}/notes`, { headers: { 'x-tenant': 'acme' } });

    expect(await response.json()).toBe(2);
  });

  it('asks a guard', async () => {
    await testing.run(async (session) => session.create(Note, { text: 'of acme', tenant: 'acme' }));
    const asks = (tenant: string) =>
      ({ switchToHttp: () => ({ getRequest: () => ({ headers: { 'x-tenant': tenant } }) }) }) as ExecutionContext;

    const guard = await testing.resolve(TenantGuard);

    expect(await guard.canActivate(asks('acme'))).toBe(true);
    expect(await guard.canActivate(asks('nobody'))).toBe(false);
  });

  it('runs jobs', async () => {
    await app.get(JobService).map(['a', 'b'], (session, text) => session.create(Note, { text }));

    expect(await testing.run((session) => session.count(Note))).toBe(3);
  });

  it('runs a durable job that was sent', async () => {
    await testing.run(() => app.get(JobQueue).send('mails', { to: 'Ada' }));

    const { attempts, left } = await testing.drain('mails');

    expect(attempts).toMatchObject([{ input: { to: 'Ada' }, status: 'fulfilled', value: 'sent to Ada' }]);
    expect(left).toEqual([]);
  });

  it('calls what a tick would call', async () => {
    await testing.run(async (session) => session.create(Note, { text: 'old' }));

    await app.get(Housekeeping).purge();

    expect(await testing.run((session) => session.count(Note))).toBe(1);
  });

  it('works for a tenant', async () => {
    const acme = testing.as({ info: { tenant: 'acme' } });
    await acme.run(async (session) => session.create(Note, { text: 'of acme', tenant: 'acme' }));
    const housekeeping = await acme.resolve(Housekeeping);

    expect(await housekeeping.tenantNow()).toBe('acme');
  });

  it('has a database of its own', async () => {
    const config = ormOptions(database.url);

    const own = await SessionTesting.database({
      orm: config,
      migrate: async (orm) => {
        await orm.schema.create();
        await orm.em.fork().insert(Note, { text: 'for all tests' });
      },
    });
    process.env['APP_DATABASE_URL'] = own.url;

    const module = await Test.createTestingModule({
      imports: [MikroOrmModule.forRoot(own.orm), SessionModule.forRoot()],
    }).compile();
    const factory = module.get<SessionFactory<EntityManager>>(SessionFactory);
    const notes = await factory.run((session) => session.find(Note, {}));
    await module.close();
    await own.drop();

    expect(notes).toMatchObject([{ text: 'for all tests' }]);
  });

  it('has a database for each worker', async () => {
    const config = ormOptions(database.url);
    const databases: OwnDatabase[] = [];

    async function setUp({ maxWorkers }: { readonly maxWorkers: number }): Promise<void> {
      for (let worker = 1; worker <= maxWorkers; worker += 1) {
        const database = await SessionTesting.database({ orm: config, migrate: (orm) => orm.schema.create() });
        process.env[`DATABASE_URL_${worker}`] = database.url;
        databases.push(database);
      }
    }

    async function tearDown(): Promise<void> {
      await Promise.all(databases.map((database) => database.drop()));
    }

    await setUp({ maxWorkers: 2 });
    const urls = [1, 2].map((worker) => process.env[`DATABASE_URL_${worker}`]);
    await tearDown();

    expect(urls).toEqual([1, 2].map(() => expect.stringMatching(/session_testing_/) as unknown));
    expect(urls[0]).not.toBe(urls[1]);
  });

  it('tests a provider without a database', async () => {
    const session = { count: async () => 3 };
    const module = await Test.createTestingModule({
      providers: [NotesService, { provide: getSessionToken(), useValue: session }],
    }).compile();

    expect(await module.get(NotesService).count()).toBe(3);
  });

  it.each(injections)('tests a module without its database, %s injection', async (injection) => {
    @Module({
      imports: [
        MikroOrmModule.forRoot(ormOptions('postgresql://127.0.0.1:1/none')),
        SessionModule.forRoot({ injection }),
      ],
      providers: [NotesService],
    })
    class AppModule {}

    const session = { count: async () => 3 };
    const module = await Test.createTestingModule({ imports: [AppModule] })
      .overrideProvider(getSessionToken())
      .useValue(session)
      .compile();
    const app = await module.createNestApplication().init();

    expect(await app.get(NotesService).count()).toBe(3);
    await app.close();
  });
});
