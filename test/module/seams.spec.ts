import { createRequire } from 'node:module';
import { setImmediate as nextTurn } from 'node:timers/promises';

import {
  Collection,
  EntityComparator,
  ObjectHydrator,
  RequestContext,
  TransactionEventBroadcaster,
  UnitOfWork,
  WrappedEntity,
} from '@mikro-orm/core';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import {
  EntityManager,
  Kysely,
  MikroORM,
  type Options,
  PostgreSqlConnection,
  QueryBuilder,
} from '@mikro-orm/postgresql';
import { type INestApplication, Injectable } from '@nestjs/common';
import { AbstractHttpAdapter, ContextIdFactory, ModulesContainer } from '@nestjs/core';
import { ExceptionsHandler } from '@nestjs/core/exceptions/exceptions-handler.js';
import { Module as ModuleRef } from '@nestjs/core/injector/module.js';
import { InstanceWrapper } from '@nestjs/core/injector/instance-wrapper.js';
import { ExpressAdapter } from '@nestjs/platform-express';
import { Test, type TestingModule } from '@nestjs/testing';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { WsProxy } from '@nestjs/websockets/context/ws-proxy.js';
import { WebSocketsController } from '@nestjs/websockets/web-sockets-controller.js';
import {
  InjectSession,
  JobService,
  SessionFactory,
  SessionModule,
  type SessionModuleOptions,
} from 'nestjs-mikro-session';
import type * as Postgres from 'pg';

import { CapturedLog } from '../support/captured-log.js';
import { Note } from '../support/note.entity.js';
import { ormOptions } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const require = createRequire(import.meta.url);
const { version } = require('@mikro-orm/core/package.json') as { readonly version: string };
/** That of MikroORM, which may not be that of others. */
const { Client, Pool } = createRequire(require.resolve('@mikro-orm/postgresql/package.json'))('pg') as typeof Postgres;

/** Hides a member of an object until it is disposed of, as a version without it would. */
function hide(object: object, member: string): Disposable {
  const own = Object.getOwnPropertyDescriptor(object, member);
  Object.defineProperty(object, member, { get: () => undefined, set: () => {}, configurable: true });
  return {
    [Symbol.dispose]: () => {
      if (own === undefined) {
        Reflect.deleteProperty(object, member);
      } else {
        Object.defineProperty(object, member, own);
      }
    },
  };
}

@Injectable()
class WithSession {
  constructor(@InjectSession() readonly session: EntityManager) {}
}

@WebSocketGateway()
class Gateway {
  @SubscribeMessage('ping')
  ping(): string {
    return 'pong';
  }
}

describe('SessionModule where a private part of another package is gone', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
    await using orm = await openOrm();
    await orm.schema.create();
  });

  afterAll(() => database.drop());

  async function openOrm(): Promise<MikroORM & AsyncDisposable> {
    const orm = await MikroORM.init(ormOptions(database.url));
    return Object.assign(orm, { [Symbol.asyncDispose]: () => orm.close() });
  }

  function compile(
    options: Partial<Options>,
    log: CapturedLog,
    session: SessionModuleOptions = {},
  ): Promise<TestingModule> {
    return Test.createTestingModule({
      imports: [MikroOrmModule.forRoot(ormOptions(database.url, options)), SessionModule.forRoot(session)],
      providers: [Gateway, WithSession],
    })
      .setLogger(log)
      .compile();
  }

  /** Starts an application over HTTP, without a port. */
  async function start(
    options: Partial<Options> = {},
    log = new CapturedLog(),
    session: SessionModuleOptions = {},
  ): Promise<INestApplication & AsyncDisposable> {
    const module = await compile(options, log, session);
    const app = module.createNestApplication();
    await app.init();
    return Object.assign(app, { [Symbol.asyncDispose]: () => app.close() });
  }

  it.each<[string, string, object]>([
    ['mikro-orm/entity-manager', 'tryFlush', EntityManager.prototype],
    ['mikro-orm/entity-manager', 'applyFilters', EntityManager.prototype],
    ['mikro-orm/entity-manager', 'setTransactionContext', EntityManager.prototype],
    ['mikro-orm/unit-of-work', 'register', UnitOfWork.prototype],
    ['mikro-orm/unit-of-work', 'computeChangeSets', UnitOfWork.prototype],
    ['mikro-orm/collection', 'removeWithoutPropagation', Collection.prototype],
    ['mikro-orm/entity-values', 'diffEntities', EntityComparator.prototype],
    ['mikro-orm/entity-values', 'hydrateReference', ObjectHydrator.prototype],
    ['mikro-orm/broadcaster', 'dispatchEvent', TransactionEventBroadcaster.prototype],
    ['mikro-orm/contexts', 'create', RequestContext],
    ['mikro-orm/connection', 'rollback', PostgreSqlConnection.prototype],
    ['mikro-orm/wrapped-entity', '__loadedProperties', WrappedEntity.prototype],
    ['mikro-orm/query-builder', 'getNativeQuery', QueryBuilder.prototype],
  ])('does not start without the seam "%s" (%s)', async (seam, member, owner) => {
    using _hidden = hide(owner, member);

    await expect(start()).rejects.toMatchObject({
      code: 'SESSION_SETUP',
      message:
        `Sessions cannot be kept apart: "${member}" of @mikro-orm/core ${version} is not the one that this library knows ` +
        `(seam "${seam}"). Look for a newer version of nestjs-mikro-session.`,
    });
  });

  it('does not start without the seam "mikro-orm/exception-converter" (convertException)', async () => {
    await using orm = await openOrm();
    const converter = orm.driver.getPlatform().getExceptionConverter();
    using _hidden = hide(Object.getPrototypeOf(converter) as object, 'convertException');

    await expect(start()).rejects.toThrow('(seam "mikro-orm/exception-converter")');
  });

  it.each(['__em', '__managed', '__originalEntityData'])(
    'loads no entity that "%s" is not written on',
    async (member) => {
      await using app = await start();
      const factory = app.get(SessionFactory);
      await factory.begin((session) => session.insert(Note, { text: 'kept' }));
      using _hidden = hide(WrappedEntity.prototype, member);

      await expect(factory.run((session) => session.find(Note, {}))).rejects.toMatchObject({
        code: 'SESSION_SETUP',
        message: expect.stringContaining('(seam "mikro-orm/wrapped-entity")'),
      });
    },
  );

  it('begins no transaction whose end it could not know', async () => {
    await using app = await start();
    const factory = app.get(SessionFactory);
    const transaction = await factory.begin((session) => session.getTransactionContext<object>() ?? {});
    using _hidden = hide(Object.getPrototypeOf(transaction) as object, 'isRolledBack');

    await expect(factory.begin((session) => session.count(Note))).rejects.toMatchObject({
      code: 'SESSION_SETUP',
      message: expect.stringMatching(
        /^The end of a transaction cannot be known: "isRolledBack" of kysely .*"kysely\/tr/,
      ),
    });
  });

  it('hands out no Kysely instance that it could not check', async () => {
    await using app = await start();
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    const executor = await factory.run((session) => session.getDriver().getConnection().getClient().getExecutor());
    const owners: [string, object][] = [
      ['withPlugin', Kysely.prototype],
      ['withConnectionProvider', Object.getPrototypeOf(executor) as object],
    ];

    for (const [member, owner] of owners) {
      using _hidden = hide(owner, member);

      await expect(factory.run((session) => session.getKysely())).rejects.toMatchObject({
        code: 'SESSION_SETUP',
        message: expect.stringMatching(
          `^What a session hands out cannot be checked when it is executed: "${member}" of kysely .*"kysely/executor"`,
        ),
      });
    }
  });

  it.each<[string, string, object]>([
    ['nestjs/http-verbs', 'options', AbstractHttpAdapter.prototype],
    ['nestjs/rpc-servers', 'getRpcTargetRegistry', ModulesContainer.prototype],
    ['nestjs/module-distance', 'distance', ModuleRef.prototype],
    ['nestjs/gateway-pipeline', 'handleError', WsProxy.prototype],
    ['pg/pool', 'waitingCount', Pool.prototype],
    ['pg/client', 'getTransactionStatus', Client.prototype],
    ['pg/submittable', 'getTypeParser', Client.prototype],
  ])('warns of the loss of the seam "%s" (%s), and goes on', async (seam, member, owner) => {
    using _hidden = hide(owner, member);
    using log = new CapturedLog();
    await using app = await start({}, log);

    await expect(app.get(SessionFactory).begin((session) => session.count(Note))).resolves.toBeGreaterThanOrEqual(0);
    expect(new Set(log.warnings)).toEqual(
      new Set([
        expect.stringMatching(
          new RegExp(
            `^.*: "${member}" of \\S+( [\\d.]+)? is not the one that this library knows \\(seam "${seam}"\\)\\. .*Look|look for`,
          ),
        ),
      ]),
    );
  });

  it.each<[string, string, object]>([
    ['nestjs/http-answers', 'redirect', ExpressAdapter.prototype],
    ['nestjs/exceptions-handler', 'next', ExceptionsHandler.prototype],
  ])('warns of the loss of the seam "%s" (%s) where requests have transactions', async (seam, member, owner) => {
    using _hidden = hide(owner, member);
    using log = new CapturedLog();
    await using plain = await start();
    await using app = await start({}, log, { http: { transaction: true } });

    expect(plain).not.toBe(app);
    expect(log.warnings).toEqual([expect.stringContaining(`(seam "${seam}")`)]);
  });

  it('warns of a changed controller of gateways', async () => {
    using log = new CapturedLog();
    const hidden = hide(WebSocketsController.prototype, 'subscribeEvents');
    const module = await compile({}, log);
    hidden[Symbol.dispose]();

    expect(log.warnings).toEqual([expect.stringContaining('(seam "nestjs/gateway-controller")')]);
    await module.close();
  });

  it('warns of a controller of gateways that leads to no modules', async () => {
    await using _first = await start();
    const prototype = WebSocketsController.prototype as unknown as { subscribeEvents(...args: unknown[]): void };
    const { subscribeEvents } = prototype;
    prototype.subscribeEvents = function (this: { contextCreator: object }, ...args) {
      using _hidden = hide(this.contextCreator, 'guardsContextCreator');
      subscribeEvents.apply(this, args);
    };
    using log = new CapturedLog();
    try {
      await using _app = await start({}, log);
    } finally {
      prototype.subscribeEvents = subscribeEvents;
    }

    expect(log.warnings).toEqual([expect.stringContaining('(seam "nestjs/gateway-controller")')]);
  });

  it('warns of a changed record of the dependencies of providers', async () => {
    using log = new CapturedLog();
    const module = await compile({}, log);
    const hidden = hide(InstanceWrapper.prototype, 'getEnhancersMetadata');
    await module.init();
    hidden[Symbol.dispose]();

    expect(log.warnings).toEqual([expect.stringContaining('(seam "nestjs/instance-wrapper")')]);
    await module.close();
  });

  it('warns when routes of server-sent events are marked in another way', async () => {
    const { defineMetadata } = Reflect;
    Reflect.defineMetadata = (key: unknown, value: unknown, target: object): void =>
      defineMetadata(key === '__sse__' ? '__events__' : key, value, target);
    using log = new CapturedLog();
    try {
      await using _app = await start({}, log, { http: { transaction: true } });
    } finally {
      Reflect.defineMetadata = defineMetadata;
    }

    expect(log.warnings).toEqual([expect.stringContaining('(seam "nestjs/sse-metadata")')]);
  });

  it('warns when NestJS looks for request-scoped providers elsewhere', async () => {
    const { getByRequest } = ContextIdFactory;
    ContextIdFactory.getByRequest = () => ContextIdFactory.create();
    using log = new CapturedLog();
    try {
      await using _app = await start({}, log);
    } finally {
      ContextIdFactory.getByRequest = getByRequest;
    }

    expect(log.warnings).toEqual([expect.stringContaining('(seam "nestjs/request-context-id")')]);
  });

  it('knows the pool of a MikroORM that does not hand it out', async () => {
    using _hidden = hide(PostgreSqlConnection.prototype, 'getNativeClient');
    await using app = await start({ driverOptions: () => ({ max: 2 }) });
    let running = 0;

    const most = await app.get(JobService).map([1, 2, 3, 4], async () => {
      running += 1;
      await nextTurn();
      return running--;
    });

    expect(Math.max(...most)).toBe(2);
  });

  it('warns of a transaction that Kysely begins in other words, once', async () => {
    const { createKyselyDialect } = PostgreSqlConnection.prototype;
    PostgreSqlConnection.prototype.createKyselyDialect = function (overrides) {
      const dialect = createKyselyDialect.call(this, overrides);
      const createDriver = dialect.createDriver.bind(dialect);
      const beginTransaction: ReturnType<typeof createDriver>['beginTransaction'] = async (connection) => {
        await connection.executeQuery({ sql: 'begin work', parameters: [] } as never);
      };
      return Object.assign(dialect, { createDriver: () => Object.assign(createDriver(), { beginTransaction }) });
    };
    using log = new CapturedLog();
    try {
      await using app = await start({}, log);
      await app.get(SessionFactory).begin((session) => session.count(Note));
      await app.get(SessionFactory).begin((session) => session.count(Note));
    } finally {
      PostgreSqlConnection.prototype.createKyselyDialect = createKyselyDialect;
    }

    expect(log.warnings).toEqual([expect.stringContaining('(seam "kysely/begin")')]);
  });

  it('warns of a transaction on a pool that MikroORM has not told of', async () => {
    const { createKyselyDialect } = PostgreSqlConnection.prototype;
    PostgreSqlConnection.prototype.createKyselyDialect = function (overrides) {
      return createKyselyDialect.call(this, { ...overrides, onPoolCreated: undefined } as typeof overrides);
    };
    using log = new CapturedLog();
    try {
      await using app = await start({}, log);
      await app.get(MikroORM).reconnect();
      await app.get(SessionFactory).begin((session) => session.count(Note));
    } finally {
      PostgreSqlConnection.prototype.createKyselyDialect = createKyselyDialect;
    }

    expect(log.warnings).toEqual([expect.stringContaining('(seam "mikro-orm/pool")')]);
  });

  it('warns of a pool that does not tell the class of its connections', async () => {
    const { createKyselyDialect } = PostgreSqlConnection.prototype;
    PostgreSqlConnection.prototype.createKyselyDialect = function (overrides) {
      const { onPoolCreated } = overrides as { readonly onPoolCreated: (pool: object) => void };
      const onCreated = (pool: object): void => {
        using _hidden = hide(pool, 'Client');
        onPoolCreated(pool);
      };
      return createKyselyDialect.call(this, { ...overrides, onPoolCreated: onCreated } as typeof overrides);
    };
    using log = new CapturedLog();
    try {
      await using app = await start({}, log);
      await app.get(SessionFactory).begin((session) => session.count(Note));
    } finally {
      PostgreSqlConnection.prototype.createKyselyDialect = createKyselyDialect;
    }

    expect(log.warnings).toEqual([expect.stringContaining('(seam "pg/pool-client")')]);
  });

  it('warns of a connection that does not tell which statements the server knows, once', async () => {
    using log = new CapturedLog();
    const onPoolCreated = (pool: Postgres.Pool): void => {
      pool.on('acquire', (client) => {
        const { query } = client;
        const hidden = hide(Reflect.get(client, 'connection') as object, 'parsedStatements');
        // node-postgres itself does nothing without it.
        Object.assign(client, {
          query: (...args: unknown[]) => {
            hidden[Symbol.dispose]();
            Object.assign(client, { query });
            return Reflect.apply(query, client, args) as unknown;
          },
        });
      });
    };
    await using app = await start({ driverOptions: { onPoolCreated } }, log);
    const factory = app.get(SessionFactory);

    await factory.begin(async (session) => Promise.all([session.count(Note), factory.begin((own) => own.count(Note))]));

    expect(log.warnings).toEqual([expect.stringContaining('(seam "pg/parsed-statements")')]);
  });

  it.each([
    ['connection' as const, [expect.stringContaining('(seam "mikro-orm/connection-hooks")')]],
    ['transaction' as const, []],
  ])('looks for the hooks of a session context of a %s', async (sessionContext, warnings) => {
    using log = new CapturedLog();
    const hidden = hide(PostgreSqlConnection.prototype, 'composeSessionContextOnReserve');
    const module = await compile({ sessionContext }, log);
    hidden[Symbol.dispose]();

    expect(log.warnings).toEqual(warnings);
    await module.close();
  });

  it('ends a connection whose statement ran out of its query_timeout', async () => {
    await using app = await start({ pool: { max: 1 }, driverOptions: { query_timeout: 100 } });
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    const findProcess = (): Promise<unknown> => factory.run((session) => session.execute('select pg_backend_pid()'));
    const before = await findProcess();

    await expect(factory.run((session) => session.execute('select pg_sleep(1)'))).rejects.toThrow('read timeout');
    await expect(findProcess()).resolves.not.toEqual(before);
  });
});
