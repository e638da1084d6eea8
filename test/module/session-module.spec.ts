import { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { getMikroORMToken, MikroOrmModule } from '@mikro-orm/nestjs';
import { Controller, Get, Global, Inject, Injectable, type InjectionToken, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import {
  getJobServiceToken,
  getSessionContextToken,
  getSessionFactoryToken,
  getSessionToken,
  InjectSession,
  JobService,
  NoActiveSessionError,
  SessionContext,
  SessionFactory,
  SessionModule,
  type SessionModuleOptions,
  type SessionOptionsFactory,
  SessionSetupError,
} from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { Note } from '../support/note.entity.js';
import { ormOptions, startTestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

@Injectable()
class SchemaOptions implements SessionOptionsFactory {
  createSessionOptions(): SessionModuleOptions {
    return { fork: { schema: 'from_class' } };
  }
}

@Module({ providers: [SchemaOptions], exports: [SchemaOptions] })
class OptionsModule {}

@Injectable()
class TwoConnections {
  constructor(
    @InjectSession() readonly main: EntityManager,
    @InjectSession('reports') readonly reports: EntityManager,
  ) {}
}

@Injectable()
class SecondService {
  constructor(@InjectSession() readonly session: EntityManager) {}
}

@Controller()
class TwoConnectionsController {
  constructor(
    private readonly both: TwoConnections,
    @Inject(getSessionContextToken('reports')) private readonly reports: SessionContext,
    private readonly main: SessionContext,
  ) {}

  @Get()
  get(): unknown {
    return {
      main: this.both.main.name,
      reports: this.both.reports.name,
      areCurrent: this.both.main.id === this.main.current.id && this.both.reports.id === this.reports.current.id,
      isOneScope: this.main.scope === this.reports.scope,
    };
  }
}

describe('SessionModule', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(() => database.drop());

  describe('forRootAsync', () => {
    it.each([
      [
        'useFactory',
        { useFactory: (): SessionModuleOptions => ({ fork: { schema: 'from_factory' } }) },
        'from_factory',
      ],
      ['useClass', { useClass: SchemaOptions }, 'from_class'],
      ['useExisting', { imports: [OptionsModule], useExisting: SchemaOptions }, 'from_class'],
    ])('takes the options from %s', async (_name, options, schema) => {
      const module = await Test.createTestingModule({
        imports: [MikroOrmModule.forRoot(ormOptions(database.url)), SessionModule.forRootAsync(options)],
      }).compile();

      const seen = await module.get(SessionFactory).run((session) => session.schema);

      expect(seen).toBe(schema);
      await module.close();
    });

    it('refuses options that decide which providers there are', async () => {
      const compiling = Test.createTestingModule({
        imports: [
          MikroOrmModule.forRoot(ormOptions(database.url)),
          SessionModule.forRootAsync({ useFactory: () => ({ injection: 'contextual' }) as SessionModuleOptions }),
        ],
      }).compile();

      await expect(compiling).rejects.toThrow('The option `injection` decides which providers there are.');
    });
  });

  it('serves several connections at once, with one scope for all of them', async () => {
    const reports = { ...ormOptions(database.url), contextName: 'reports' };
    const app = await startTestApp({
      databaseUrl: database.url,
      imports: [MikroOrmModule.forRoot(reports), SessionModule.forRoot({ contextName: 'reports' })],
      controllers: [TwoConnectionsController],
      providers: [TwoConnections],
    });

    const answer = await fetch(app.url).then((response) => response.json());
    const name = await app
      .get<SessionFactory>(getSessionFactoryToken('reports'))
      .run(
        (session) =>
          `${session.name} ${app.get<SessionContext>(getSessionContextToken('reports')).current === session}`,
      );
    const names = await app.get<JobService>(getJobServiceToken('reports')).map([1], (session) => session.name);

    expect(answer).toEqual({ main: 'default', reports: 'reports', areCurrent: true, isOneScope: true });
    expect(name).toBe('reports true');
    expect(names).toEqual(['reports']);
    await app.close();
  });

  it('keeps to the transaction of each connection, also within one of another', async () => {
    const reports = { ...ormOptions(database.url), contextName: 'reports' };
    const app = await startTestApp({
      databaseUrl: database.url,
      imports: [MikroOrmModule.forRoot(reports), SessionModule.forRoot({ contextName: 'reports' })],
    });
    const other = app.get<SessionContext<EntityManager>>(getSessionContextToken('reports'));

    await app.get<SessionFactory<EntityManager>>(SessionFactory).run((session) =>
      session.transactional(async (outer) => {
        outer.create(Note, { text: 'only seen within' });
        await outer.flush();

        await other.current.transactional(async (inner) => {
          expect([session.id, app.orm.em.id, other.current.id]).toEqual([outer.id, outer.id, inner.id]);
          expect([await session.count(Note), await other.current.count(Note)]).toEqual([1, 0]);
        });
      }),
    );

    await database.query('delete from note');
    await app.close();
  });

  it('provides the sessions only to its importers when it is not global', async () => {
    const modules = [
      MikroOrmModule.forRoot(ormOptions(database.url)),
      SessionModule.forRoot({ isGlobal: false }),
    ] as const;
    @Module({ providers: [SecondService] })
    class Stranger {}

    const compiling = Test.createTestingModule({ imports: [...modules, Stranger] }).compile();

    await expect(compiling).rejects.toThrow(getSessionToken());
  });

  it('says at start that MikroORM is missing, and what to add', async () => {
    const compiling = Test.createTestingModule({ imports: [SessionModule.forRoot()] }).compile();
    const named = Test.createTestingModule({ imports: [SessionModule.forRoot({ contextName: 'reports' })] }).compile();

    await expect(compiling).rejects.toThrow(
      new SessionSetupError(
        'SessionModule.forRoot() found no MikroORM. Add MikroOrmModule.forRoot({ ... }) to the imports of the application.',
      ),
    );
    await expect(named).rejects.toThrow(
      `Add MikroOrmModule.forRoot({ contextName: 'reports', ... }) to the imports of the application.`,
    );
  });

  it('says at start that MikroORM is of another copy of its package', async () => {
    const Namesake = { MikroORM: class {} }.MikroORM;
    const reports = getMikroORMToken('reports');
    const compile = (token: InjectionToken, options: object): Promise<unknown> => {
      const other = { provide: token, useValue: new Namesake() };
      @Global()
      @Module({ providers: [other], exports: [other] })
      class OtherModule {}
      return Test.createTestingModule({ imports: [OtherModule, SessionModule.forRoot(options)] }).compile();
    };

    await expect(compile(Namesake, {})).rejects.toThrow('There are two copies of @mikro-orm/core:');
    await expect(compile(reports, { contextName: 'reports' })).rejects.toThrow(
      'There are two copies of @mikro-orm/core:',
    );
  });

  it('warns of another copy of this library', async () => {
    const shared = globalThis as unknown as Record<symbol, Set<string>>;
    const copies = shared[Symbol.for('nestjs-mikro-session/copies')];
    copies?.add('file:///other/node_modules/nestjs-mikro-session/dist/');
    using log = new CapturedLog();

    SessionModule.forRoot();
    copies?.delete('file:///other/node_modules/nestjs-mikro-session/dist/');
    SessionModule.forRoot();

    expect(log.warnings).toEqual([expect.stringContaining('There are 2 copies of nestjs-mikro-session: file:')]);
  });

  it('says at start that a connection was imported twice', async () => {
    const compiling = Test.createTestingModule({
      imports: [MikroOrmModule.forRoot(ormOptions(database.url)), SessionModule.forRoot(), SessionModule.forRoot()],
    }).compile();

    await expect(compiling).rejects.toThrow('SessionModule was imported twice for the connection "default".');
  });

  it('refuses an unknown kind of injection', () => {
    expect(() => SessionModule.forRoot({ injection: 'singleton' as never })).toThrow(
      new TypeError(`Expected \`injection\` to be 'request' or 'contextual', got \`'singleton'\` (string).`),
    );
  });

  describe('refuses options that are not as they have to be', () => {
    const wrong: [options: unknown, message: string][] = [
      [{ unflushed: 'throw' }, "Expected `unflushed` to be 'warn' or 'error' or 'ignore', got `'throw'` (string)."],
      [{ ownership: true }, "Expected `ownership` to be 'error' or 'warn' or 'off', got `true` (boolean)."],
      [{ leakAfter: '5s' }, 'Expected `leakAfter` to be milliseconds from 0 to 2147483647'],
      [{ leakAfter: -1 }, 'Expected `leakAfter` to be milliseconds from 0 to 2147483647'],
      [{ leakAfter: NaN }, 'Expected `leakAfter` to be milliseconds from 0 to 2147483647'],
      [{ scopeFunc: {} }, 'Expected `scopeFunc` to be a function'],
      [{ fork: 'tenant' }, 'Expected `fork` to be an object or a function of the scope'],
      [{ fork: { schema: '' } }, "Expected `fork.schema` to be the name of a schema, got `''`."],
      [{ http: true }, 'Expected `http` to be false or an object'],
      [{ http: { info: 'tenant' } }, 'Expected `http.info` to be a function'],
      [{ http: { inf: () => ({}) } }, 'SessionModule has no option `http.inf`. It has `http.info`'],
      [{ http: { transaction: false } }, 'Expected `http.transaction` to be true, the options of a transaction, or a'],
      [{ http: { transaction: { readonly: true } } }, 'SessionModule has no option `http.transaction.readonly`.'],
      [{ http: { commitError: () => 1 } }, 'The option `http.commitError` stands without `http.transaction`'],
      [{ jobs: { concurrency: 0 } }, 'Expected `concurrency` to be an integer of 1 or more'],
      [{ jobs: { concurency: 8 } }, 'JobService has no option `concurency`.'],
      [{ jobs: { retry: { times: 3 } } }, 'JobService has no option `retry.times`.'],
      [{ threads: {} }, 'Expected `threads.application` to be the URL or the path of a file, got `undefined`'],
      [{ unflushd: 'error' }, 'SessionModule has no option `unflushd`. It has `fork`, `scopeFunc`, `transactions`,'],
      [null, 'Expected `options` to be an object, got `null`'],
    ];

    it.each(wrong)('%j, given to forRoot', (options, message) => {
      const create = (): unknown => SessionModule.forRoot(options as SessionModuleOptions);

      expect(create).toThrow(TypeError);
      expect(create).toThrow(message);
    });

    it.each(wrong)('%j, made by the factory of forRootAsync', async (options, message) => {
      const compiling = Test.createTestingModule({
        imports: [
          MikroOrmModule.forRoot(ormOptions(database.url)),
          SessionModule.forRootAsync({ useFactory: () => options as SessionModuleOptions }),
        ],
      }).compile();

      await expect(compiling).rejects.toThrow(message);
    });

    it('which choose the providers, or stand beside the factory', () => {
      expect(() => SessionModule.forRoot({ contextName: '' })).toThrow('Expected `contextName` to be a string');
      expect(() => SessionModule.forRoot({ isGlobal: 'yes' as never })).toThrow('Expected `isGlobal` to be a boolean');
      expect(() => SessionModule.forRootAsync({ useFactory: () => ({}), unflushed: 'error' } as never)).toThrow(
        'The option `unflushed` stands beside the factory of forRootAsync(). Return it from there.',
      );
      expect(() => SessionModule.forRootAsync({ useFactry: () => ({}) } as never)).toThrow(
        'SessionModule.forRootAsync() has no option `useFactry`.',
      );
    });
  });

  it('opens no scope for requests when told so', async () => {
    @Controller()
    class Asking {
      constructor(private readonly context: SessionContext) {}

      @Get()
      get(): boolean {
        return this.context.tryScope === undefined;
      }
    }
    const app = await startTestApp({ databaseUrl: database.url, session: { http: false }, controllers: [Asking] });

    const answer = await fetch(app.url).then((response) => response.json());

    expect(answer).toBe(true);
    await app.close();
  });

  it('works in a standalone application', async () => {
    @Module({
      imports: [MikroOrmModule.forRoot(ormOptions(database.url)), SessionModule.forRoot({ injection: 'contextual' })],
      providers: [SecondService],
    })
    class Standalone {}
    const module = await NestFactory.createApplicationContext(Standalone, { logger: false });
    const { session } = module.get(SecondService);

    const isSame = await module.get(SessionFactory).run((current) => session.id === current.id);

    expect(isSame).toBe(true);
    expect(() => session.clear()).toThrow(NoActiveSessionError);
    expect(() => module.get(MikroORM).em.clear()).toThrow(NoActiveSessionError);
    await module.close();
  });

  it('leaves the filters of the application to each fork it makes by hand', async () => {
    const app = await startTestApp({ databaseUrl: database.url });
    app.orm.em.addFilter({ name: 'tenant', cond: { tenant: 'b' }, entity: [Note] });
    await database.query(`insert into note (text, tenant) values ('x', 'a'), ('y', 'b')`);

    const found = await app.orm.em.fork().find(Note, {});

    expect(found.map(({ text }) => text)).toEqual(['y']);
    await app.close();
  });
});
