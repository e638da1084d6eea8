import { EntityManager, IsolationLevel } from '@mikro-orm/postgresql';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { Controller, Get, Inject, Injectable, Param, Post, Scope } from '@nestjs/common';
import { ContextIdFactory, ModuleRef } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import {
  getSessionContextToken,
  InjectSession,
  InSession,
  JobService,
  NoActiveSessionError,
  SessionClosedError,
  SessionContext,
  SessionFactory,
  SessionModule,
  SessionOwnershipError,
  SessionRegistry,
  SessionSetupError,
  SessionStateError,
} from 'nestjs-mikro-session';

import { findTexts } from '../support/find-texts.js';
import { Note } from '../support/note.entity.js';
import { injections, ormOptions, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

type Context = SessionContext<EntityManager>;
type Work<Result> = (session: EntityManager) => Result | Promise<Result>;

@Injectable()
class Ledger {
  constructor(@Inject(SessionContext) readonly context: Context) {}

  @InSession()
  async join<Result>(work: Work<Result>): Promise<Result> {
    return work(this.context.current);
  }

  @InSession({ propagation: 'new' })
  async alone<Result>(work: Work<Result>): Promise<Result> {
    return work(this.context.current);
  }

  @InSession({ propagation: 'mandatory' })
  async mandatory(): Promise<string> {
    return this.context.scope.id;
  }

  @InSession({ propagation: 'never' })
  async never(): Promise<boolean> {
    return this.context.tryScope?.state === 'open';
  }

  @InSession({ transaction: true })
  async book<Result>(work: Work<Result>): Promise<Result> {
    return work(this.context.current);
  }

  @InSession({ propagation: 'new', transaction: true })
  async bookAlone<Result>(work: Work<Result>): Promise<Result> {
    return work(this.context.current);
  }

  @InSession({ propagation: 'mandatory', transaction: { readOnly: true } })
  async reads(): Promise<number> {
    return this.context.current.count(Note);
  }

  @InSession({ transaction: { isolationLevel: IsolationLevel.SERIALIZABLE } })
  async isolation(): Promise<string | undefined> {
    const [row] = await this.context.current.execute<{ level: string }[]>(
      `select current_setting('transaction_isolation') as level`,
    );
    return row?.level;
  }
}

@Injectable()
class DerivedLedger extends Ledger {
  override async join<Result>(work: Work<Result>): Promise<Result> {
    return super.join(work);
  }

  @InSession({ propagation: 'new' })
  async own(): Promise<string> {
    return this.context.scope.label;
  }
}

@Injectable({ scope: Scope.REQUEST })
class RequestLedger {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly em: EntityManager,
  ) {}

  @InSession()
  async join(): Promise<number> {
    return this.session.id;
  }

  @InSession({ transaction: true })
  async book(text: string): Promise<boolean> {
    this.session.create(Note, { text });
    return this.session.isInTransaction();
  }

  @InSession({ propagation: 'new', transaction: true })
  async bookAlone(text: string): Promise<void> {
    this.em.create(Note, { text });
  }

  @InSession({ propagation: 'new', transaction: true })
  async bookInjected(text: string): Promise<void> {
    this.session.create(Note, { text });
  }
}

@Controller('ledger')
class LedgerController {
  constructor(
    private readonly ledger: RequestLedger,
    private readonly context: SessionContext,
  ) {}

  @Get()
  async joined(): Promise<boolean> {
    return (await this.ledger.join()) === this.context.current.id;
  }

  @Post('below/:text')
  @InSession({ transaction: true })
  async below(@Param('text') text: string): Promise<boolean> {
    return this.ledger.book(text);
  }

  @InSession({ transaction: true })
  @Post('above/:text')
  async above(@Param('text') text: string): Promise<boolean> {
    return this.ledger.book(text);
  }
}

describe.each(injections)('@InSession() with %s injection', (injection) => {
  let database: TestDatabase;
  let app: TestApp;
  let ledger: Ledger;
  let factory: SessionFactory<EntityManager>;
  let context: Context;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({
      databaseUrl: database.url,
      session: { injection },
      controllers: [LedgerController],
      providers: [Ledger, DerivedLedger, RequestLedger],
    });
    ledger = app.get(Ledger);
    factory = app.get(SessionFactory);
    context = app.get(SessionContext);
  });

  afterEach(async () => {
    await database.query('delete from note');
    expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  const texts = (): Promise<string[]> => findTexts(database, 'text');
  const insert = (session: EntityManager, text: string): Promise<void> => session.persist(make(session, text)).flush();
  const make = (session: EntityManager, text: string): Note => session.create(Note, { text });

  describe('that joins', () => {
    it('opens a scope where there is none, named after the method', async () => {
      const seen = await ledger.join((session) => [
        context.scope.kind,
        context.scope.label,
        session === context.current,
      ]);

      expect(seen).toEqual(['method', 'Ledger.join', true]);
      expect(context.tryScope).toBeUndefined();
    });

    it('closes the session at the end', async () => {
      const session = await ledger.join((own) => own);

      expect(() => session.clear()).toThrow('The session of "Ledger.join" was used after its end: it had returned.');
    });

    it('runs in the current scope where there is one', async () => {
      const isSame = await factory.run((session) => ledger.join((own) => own === session));

      expect(isSame).toBe(true);
    });

    it('opens a scope in what has outlived the one around it', async () => {
      const gate = Promise.withResolvers<void>();
      let late: Promise<unknown> = Promise.resolve();
      await factory.run(() => {
        late = gate.promise.then(() => ledger.join((session) => session.count(Note)));
      });

      gate.resolve();

      expect(await late).toBe(0);
    });

    it('runs in the scope of the request in a request-scoped provider', async () => {
      const response = await fetch(`${app.url}/ledger`);

      expect(await response.text()).toBe('true');
    });
  });

  describe('with a scope of its own', () => {
    it('has another session than the one around it', async () => {
      const seen = await factory.run((session) =>
        ledger.alone((own) => [own === session, own === context.current, app.orm.em.id === own.id]),
      );

      expect(seen).toEqual([false, true, true]);
    });

    it('is isolated from an open transaction around it', async () => {
      await expect(
        factory.begin(async (session) => {
          await insert(session, 'outer');
          expect(await ledger.alone((own) => own.count(Note))).toBe(0);
          await ledger.bookAlone((own) => make(own, 'inner'));
          throw new Error('no');
        }),
      ).rejects.toThrow('no');

      expect(await texts()).toEqual(['inner']);
    });

    it('refuses the session of its caller', async () => {
      await factory.run(async (session) => {
        const used = ledger.alone(() => session.clear());

        await expect(used).rejects.toThrow(SessionOwnershipError);
        await expect(used).rejects.toThrow(
          'The session of "SessionFactory.run" was used in "Ledger.alone". Its @InSession() gives it a session of its ' +
            'own: take that from SessionContext.current, a repository or an injected EntityManager.',
        );
      });
    });

    it('is aborted with the scope around it', async () => {
      const cancel = new AbortController();

      const seen = await app.get<JobService>(JobService).map(
        [1],
        () =>
          ledger.alone(() => {
            const { signal } = context.scope;
            cancel.abort();
            return signal.aborted;
          }),
        { signal: cancel.signal, whenAborted: 'finish' },
      );

      expect(seen).toEqual([true]);
    });

    it('is reached by what a request-scoped provider has injected, but for the session of its request', async () => {
      const moduleRef = app.get<ModuleRef>(ModuleRef);

      const [byEm, byInjected] = await factory.run(async () => {
        const own = await moduleRef.resolve(RequestLedger, ContextIdFactory.create(), { strict: false });
        return Promise.allSettled([own.bookAlone('em'), own.bookInjected('injected')]);
      });

      const refused = { status: 'rejected', reason: expect.any(SessionOwnershipError) as unknown };
      const fulfilled = { status: 'fulfilled' };
      expect([byEm, byInjected]).toMatchObject([fulfilled, injection === 'request' ? refused : fulfilled]);
      expect(await texts()).toEqual(injection === 'request' ? ['em'] : ['em', 'injected']);
    });
  });

  describe('that is mandatory', () => {
    it('runs in the current scope', async () => {
      const isSame = await factory.run(async () => (await ledger.mandatory()) === context.scope.id);

      expect(isSame).toBe(true);
    });

    it('is refused where there is none', async () => {
      const call = ledger.mandatory();

      await expect(call).rejects.toThrow(NoActiveSessionError);
      await expect(call).rejects.toThrow(
        '"Ledger.mandatory", which joins a session, was used outside of every session',
      );
    });

    it('is refused in what has outlived its scope', async () => {
      const gate = Promise.withResolvers<void>();
      let late: Promise<unknown> = Promise.resolve();
      await factory.run(() => {
        late = gate.promise.then(() => ledger.mandatory());
      });

      gate.resolve();

      await expect(late).rejects.toThrow(SessionClosedError);
    });
  });

  describe('that is never in a scope', () => {
    it('runs outside of every scope', async () => {
      expect(await ledger.never()).toBe(false);
    });

    it('is refused in a scope, by name', async () => {
      const call = factory.run(() => ledger.never(), { label: 'nightly' });

      await expect(call).rejects.toThrow(SessionStateError);
      await expect(call).rejects.toThrow(
        '"Ledger.never" must not run in a session scope, but was called in "nightly".',
      );
    });

    it('has no transaction', () => {
      expect(() => InSession({ propagation: 'never', transaction: true })).toThrow(TypeError);
    });
  });

  describe('with a transaction', () => {
    it('commits when the method returns', async () => {
      await ledger.book((session) => make(session, 'a'));

      expect(await texts()).toEqual(['a']);
    });

    it('rolls back when the method throws', async () => {
      const booked = ledger.book(async (session) => {
        await insert(session, 'a');
        throw new Error('no');
      });

      await expect(booked).rejects.toThrow('no');
      expect(await texts()).toEqual([]);
    });

    it('begins one in a scope that has none', async () => {
      await factory.run(async (session) => {
        await ledger.book((own) => make(own, 'a'));
        expect(session.isInTransaction()).toBe(false);
        await expect(
          ledger.book(async (own) => {
            await insert(own, 'b');
            throw new Error('no');
          }),
        ).rejects.toThrow('no');
      });

      expect(await texts()).toEqual(['a']);
    });

    it('joins the one that the scope has open', async () => {
      const begun = factory.begin(async (session) => {
        await ledger.book((own) => {
          expect(own).toBe(session);
          make(own, 'a');
        });
        throw new Error('no');
      });

      await expect(begun).rejects.toThrow('no');
      expect(await texts()).toEqual([]);
    });

    it('joins that of session.transactional() too', async () => {
      await factory.run((session) =>
        session.transactional(async (transaction) => {
          expect(await ledger.book(() => app.orm.em.id === transaction.id)).toBe(true);
        }),
      );
    });

    it('passes its options on', async () => {
      expect(await ledger.isolation()).toBe('serializable');
    });

    it('joins one that was begun with the same options, also within a savepoint of it', async () => {
      const transaction = { isolationLevel: IsolationLevel.SERIALIZABLE };

      const levels = await factory.begin(
        async (session) => [await ledger.isolation(), await session.transactional(() => ledger.isolation())],
        { transaction },
      );
      const [ofJob] = await app.get<JobService>(JobService).map([1], () => ledger.isolation(), { transaction });

      expect([...levels, ofJob]).toEqual(['serializable', 'serializable', 'serializable']);
    });

    it.each([
      ['isolation', "`isolationLevel: 'serializable'`", "`'read committed'`"],
      ['reads', '`readOnly: true`', '`false`'],
    ] as const)(
      'is refused in one that was begun otherwise, and begins one itself where there is none: %s',
      async (method, asked, has) => {
        const call = factory.begin(async (): Promise<unknown> => ledger[method](), { label: 'nightly' });

        await expect(call).rejects.toThrow(SessionStateError);
        await expect(call).rejects.toThrow(
          `"Ledger.${method}" asks for a transaction with ${asked}, but joins the one that "nightly" has open, which has ${has}.`,
        );
        await expect(factory.run(async (): Promise<unknown> => ledger[method]())).resolves.toBeDefined();
      },
    );

    it('runs the callbacks of the commit', async () => {
      const committed = Promise.withResolvers<string[]>();

      await ledger.book((session) => {
        make(session, 'a');
        context.afterCommit(async () => committed.resolve(await texts()));
      });

      expect(await committed.promise).toEqual(['a']);
    });
  });

  it.each(['below', 'above'])('stands %s a decorator of a route', async (place) => {
    const response = await fetch(`${app.url}/ledger/${place}/a`, { method: 'POST' });

    expect(await response.text()).toBe('true');
    expect(await texts()).toEqual(['a']);
  });

  describe('of a derived class', () => {
    it('is inherited, named after the class of the instance', async () => {
      const label = await app.get<DerivedLedger>(DerivedLedger).join(() => context.scope.label);

      expect(label).toBe('DerivedLedger.join');
    });

    it('stands beside those of the class that it extends', async () => {
      const derived = app.get<DerivedLedger>(DerivedLedger);

      expect(await derived.own()).toBe('DerivedLedger.own');
      expect(await derived.alone(() => context.scope.label)).toBe('DerivedLedger.alone');
    });
  });
});

@Injectable()
class TwoConnections {
  constructor(
    private readonly main: SessionContext,
    @Inject(getSessionContextToken('reports')) private readonly reports: SessionContext,
  ) {}

  @InSession({ transaction: true })
  async inMain(): Promise<boolean[]> {
    return this.areInTransaction();
  }

  @InSession({ contextName: 'reports', transaction: true })
  async inReports(): Promise<boolean[]> {
    return this.areInTransaction();
  }

  private areInTransaction(): boolean[] {
    return [this.main, this.reports].map(({ current }) => current.isInTransaction());
  }
}

describe('@InSession()', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(() => database.drop());

  it('serves several connections in one class', async () => {
    const app = await startTestApp({
      databaseUrl: database.url,
      imports: [
        MikroOrmModule.forRoot({ ...ormOptions(database.url), contextName: 'reports' }),
        SessionModule.forRoot({ contextName: 'reports' }),
      ],
      providers: [TwoConnections],
    });
    const both = app.get<TwoConnections>(TwoConnections);

    expect(await both.inMain()).toEqual([true, false]);
    expect(await both.inReports()).toEqual([false, true]);
    await app.close();
  });

  it('refuses an object that NestJS did not make', async () => {
    const call = new Ledger(undefined as never).join(() => 0);

    await expect(call).rejects.toThrow(SessionSetupError);
    await expect(call).rejects.toThrow(
      '"Ledger.join" has @InSession(), but was called on an object that no session was provided to. List "Ledger" in ' +
        'the `providers` of a module, so that NestJS makes it, and add SessionModule.forRoot() to the imports.',
    );
  });

  it('refuses a call without its object', async () => {
    const { join } = Ledger.prototype;

    await expect(Reflect.apply(join, undefined, [() => 0])).rejects.toThrow(SessionSetupError);
  });

  it('refuses a provider of an application without SessionModule', async () => {
    const module = await Test.createTestingModule({
      providers: [Ledger, { provide: SessionContext, useValue: {} }],
    }).compile();

    await expect(module.get(Ledger).join(() => 0)).rejects.toThrow('add SessionModule.forRoot() to the imports');
    await module.close();
  });

  it('refuses what is no method', () => {
    class Fields {}

    expect(() => Reflect.apply(InSession(), undefined, [Fields.prototype, 'field', undefined])).toThrow(
      new TypeError('Expected "Fields.field" to be a method, where it has @InSession().'),
    );
  });

  it('refuses an unknown propagation', () => {
    expect(() => InSession({ propagation: 'nested' as never })).toThrow(
      "Expected `propagation` to be 'join' or 'new' or 'mandatory' or 'never', got `'nested'` (string).",
    );
  });

  it.each([
    [{ transactional: true }, '@InSession() has no option `transactional`.'],
    [{ transaction: { isolation: 'serializable' } }, '@InSession() has no option `transaction.isolation`.'],
    [{ transaction: false }, 'Expected `transaction` to be true or the options of a transaction, got `false`'],
    [{ transaction: { isolationLevel: 'strict' } }, 'Expected `transaction.isolationLevel` to be '],
    [{ contextName: '' }, 'Expected `contextName` to be a string that is not empty'],
  ])('refuses %j', (options, message) => {
    expect(() => InSession(options as never)).toThrow(TypeError);
    expect(() => InSession(options as never)).toThrow(message);
  });

  it('keeps the properties that the decorators below it have put on the method', () => {
    const mark = Symbol('mark');
    const marked: MethodDecorator = (_target, _key, descriptor) => {
      Object.defineProperty(descriptor.value as object, mark, { value: 1 });
      Object.assign(descriptor.value as object, { plain: 2 });
    };
    class Marked {
      @InSession()
      @marked
      async method(): Promise<void> {}
    }

    const { method } = Marked.prototype;

    expect(Object.getOwnPropertyDescriptors(method)).toMatchObject({
      [mark]: { value: 1, enumerable: false },
      plain: { value: 2, enumerable: true },
      name: { value: 'method' },
    });
  });

  it('keeps the metadata of the decorators below it, the name and the length', () => {
    const mark: MethodDecorator = (_target, _key, descriptor) =>
      Reflect.defineMetadata('mark', ['a'], descriptor.value as object);
    class Marked {
      @mark
      @InSession()
      async above(_a: number, _b: number): Promise<void> {}

      @InSession()
      @mark
      async below(_a: number, _b: number): Promise<void> {}
    }

    const { above, below } = Marked.prototype;

    expect([above, below].map((method) => Reflect.getMetadata('mark', method) as unknown)).toEqual([['a'], ['a']]);
    expect([above.name, below.name, above.length, below.length]).toEqual(['above', 'below', 2, 2]);
  });
});
