import { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Get, Inject, Injectable, Req, Scope } from '@nestjs/common';
import { EventEmitter2, EventEmitterModule, OnEvent } from '@nestjs/event-emitter';
import {
  InjectSession,
  InSession,
  NoActiveSessionError,
  SessionClosedError,
  SessionContext,
  SessionFactory,
} from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { findTexts } from '../support/find-texts.js';
import { noLiveScope } from '../support/no-live-scope.js';
import { Note } from '../support/note.entity.js';
import { injections, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

type Work<Result> = (session: EntityManager) => Promise<Result>;

const loud = { suppressErrors: false };

/** A listener of each kind. What they are to do is in the event. */
abstract class Listeners {
  protected abstract readonly session: EntityManager;

  @OnEvent('plain', loud)
  async onPlain(work: Work<unknown>): Promise<unknown> {
    return work(this.session);
  }

  @OnEvent('quiet')
  async onQuiet(work: Work<unknown>): Promise<unknown> {
    return work(this.session);
  }

  @OnEvent('joined', loud)
  @InSession({ propagation: 'join' })
  async onJoined(work: Work<unknown>): Promise<unknown> {
    return work(this.session);
  }

  @InSession({ propagation: 'join', transaction: true })
  @OnEvent('joined.transaction', loud)
  async onJoinedTransaction(work: Work<unknown>): Promise<unknown> {
    return work(this.session);
  }

  @InSession({ transaction: true })
  @OnEvent('transaction', loud)
  async onTransaction(work: Work<unknown>): Promise<unknown> {
    return work(this.session);
  }

  @OnEvent('mandatory', loud)
  @InSession({ propagation: 'mandatory' })
  async onMandatory(work: Work<unknown>): Promise<unknown> {
    return work(this.session);
  }
}

@Injectable()
class SingletonListeners extends Listeners {
  constructor(protected readonly session: EntityManager) {
    super();
  }
}

@Injectable({ scope: Scope.REQUEST })
class RequestScopedListeners extends Listeners {
  constructor(@InjectSession() protected readonly session: EntityManager) {
    super();
  }
}

@Injectable({ scope: Scope.REQUEST })
class InheritingListener {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    @Inject(SessionContext) private readonly context: SessionContext,
  ) {}

  @OnEvent('request', loud)
  async onRequest(_request: unknown): Promise<[string, number]> {
    return [this.context.scope.label, this.session.id];
  }
}

@Controller()
class EmittingController {
  constructor(
    private readonly emitter: EventEmitter2,
    @InjectSession() private readonly session: EntityManager,
  ) {}

  @Get()
  async emit(@Req() request: unknown): Promise<unknown> {
    return { own: this.session.id, seen: await this.emitter.emitAsync('request', request) };
  }
}

describe.each(injections)('@nestjs/event-emitter with %s injection', (injection) => {
  describe.each([SingletonListeners, RequestScopedListeners])('and %p', (listeners) => {
    let database: TestDatabase;
    let app: TestApp;
    let context: SessionContext<EntityManager>;
    let factory: SessionFactory<EntityManager>;
    let emitter: EventEmitter2;

    beforeAll(async () => {
      database = await createTestDatabase();
      app = await startTestApp({
        databaseUrl: database.url,
        session: { injection, unflushed: 'error' },
        imports: [EventEmitterModule.forRoot()],
        providers: [listeners],
      });
      [context, factory, emitter] = [app.get(SessionContext), app.get(SessionFactory), app.get(EventEmitter2)];
    });

    afterEach(async () => {
      await noLiveScope(app);
      await database.query('delete from note');
    });

    afterAll(async () => {
      await app.close();
      await database.drop();
    });

    const texts = (): Promise<string[]> => findTexts(database, 'text');
    const write =
      (text: string): Work<number> =>
      async (session) => {
        await session.persist(session.create(Note, { text })).flush();
        return session.count(Note);
      };

    async function call<Result>(event: string, work: Work<Result>): Promise<Result | undefined> {
      const [result] = (await emitter.emitAsync(event, work)) as Result[];
      return result;
    }

    it('gives each call of a listener a session of its own', async () => {
      const look: Work<unknown[]> = async (session) => [
        context.scope.kind,
        context.scope.label,
        session.id === context.current.id && session.id === app.orm.em.id,
      ];
      const ids = await Promise.all([1, 2].map(() => call('plain', async ({ id }) => id)));

      expect(await call('plain', look)).toEqual(['event', `event "plain" in ${listeners.name}.onPlain`, true]);
      expect(new Set(ids).size).toBe(2);
      expect(context.tryScope).toBeUndefined();
    });

    it('isolates it from the session and the transaction of the emitter', async () => {
      const begun = factory.begin(async (session) => {
        await write('outer')(session);
        expect(await call('plain', write('inner'))).toBe(1);
        throw new Error('no');
      });

      await expect(begun).rejects.toThrow('no');
      expect(await texts()).toEqual(['inner']);
    });

    it('lets it outlive an emitter that does not wait', async () => {
      const gate = Promise.withResolvers<void>();
      const done = Promise.withResolvers<number>();
      await factory.run(() => {
        emitter.emit('plain', async (session: EntityManager) => {
          await gate.promise;
          done.resolve(await write('late')(session));
        });
      });

      gate.resolve();

      expect(await done.promise).toBe(1);
    });

    it('leaves it to the event emitter when a listener begins', async () => {
      let hasBegun = false;

      emitter.emit('plain', async () => {
        hasBegun = true;
      });

      // The providers of a request-scoped listener are made first.
      expect(hasBegun).toBe(listeners === SingletonListeners);
    });

    it('closes it when the listener has settled', async () => {
      const gate = Promise.withResolvers<void>();
      let late: Promise<unknown> = Promise.resolve();
      await call('plain', async (session) => {
        late = gate.promise.then(() => session.count(Note));
      });

      gate.resolve();

      await expect(late).rejects.toThrow(SessionClosedError);
      await expect(late).rejects.toThrow(`The session of "event "plain" in ${listeners.name}.onPlain" was used after`);
    });

    it('rolls back what a failing listener left open, and gives its error to the emitter where that is wanted', async () => {
      const failed = call('plain', async (session) => {
        await session.begin();
        await write('a')(session);
        throw new Error('no');
      });

      await expect(failed).rejects.toThrow('no');
      expect(await texts()).toEqual([]);
    });

    it('leaves it to the event emitter to log the error of a listener', async () => {
      using log = new CapturedLog();

      const result = await call('quiet', async (session) => {
        session.create(Note, { text: 'a' });
        throw new Error('no');
      });

      expect(result).toBeUndefined();
      expect(log.errors).toEqual(['no']);
    });

    it('treats a failure of the end like an error of the listener', async () => {
      using log = new CapturedLog();
      const lose: Work<void> = async (session) => {
        session.create(Note, { text: 'a' });
      };

      await call('quiet', lose);

      expect(log.errors).toEqual([expect.stringContaining('onQuiet" ended with 1 unflushed change(s)')]);
      await expect(call('plain', lose)).rejects.toThrow('onPlain" ended with 1 unflushed change(s)');
    });

    it('has a transaction of its own with @InSession()', async () => {
      const begun = factory.begin(async () => {
        await call('transaction', async (session) => void session.create(Note, { text: 'inner' }));
        throw new Error('no');
      });

      await expect(begun).rejects.toThrow('no');
      expect(await texts()).toEqual(['inner']);
    });

    describe('that are to join', () => {
      it('gives them the session and the transaction of the emitter', async () => {
        const begun = factory.begin(async (session) => {
          await write('outer')(session);
          expect(await call('joined', async (own) => own.id === session.id)).toBe(true);
          expect(await call('joined', write('inner'))).toBe(2);
          expect(await call('joined.transaction', write('inner'))).toBe(3);
          throw new Error('no');
        });

        await expect(begun).rejects.toThrow('no');
        expect(await texts()).toEqual([]);
      });

      it('gives them one of their own where the emitter has none', async () => {
        expect(await call('joined', async () => context.scope.state)).toBe('open');
        expect(await call('joined.transaction', write('a'))).toBe(1);
      });

      it('refuses them with `mandatory` where the emitter has none', async () => {
        expect(await factory.run((session) => call('mandatory', async ({ id }) => id === session.id))).toBe(true);
        await expect(call('mandatory', async ({ id }) => id)).rejects.toThrow(NoActiveSessionError);
      });
    });
  });

  it('gives a request-scoped listener that inherits its providers from the request the session of that', async () => {
    const database = await createTestDatabase();
    const app = await startTestApp({
      databaseUrl: database.url,
      session: { injection },
      imports: [EventEmitterModule.forRoot({ inheritRequestContextId: true })],
      controllers: [EmittingController],
      providers: [InheritingListener],
    });

    const inherited = (await fetch(app.url).then((response) => response.json())) as {
      readonly own: number;
      readonly seen: [[string, number]];
    };
    const [own] = (await app.get<EventEmitter2>(EventEmitter2).emitAsync('request', {})) as [[string, number]];

    const label = 'event "request" in InheritingListener.onRequest';
    const [[inheritedLabel, inheritedId]] = inherited.seen;
    // With contextual injection nothing was made for the request, and so there is nothing to inherit.
    expect(inheritedLabel).toBe(injection === 'request' ? 'GET /' : label);
    expect(inheritedId === inherited.own).toBe(injection === 'request');
    expect(own[0]).toBe(label);
    await app.close();
    await database.drop();
  });
});
