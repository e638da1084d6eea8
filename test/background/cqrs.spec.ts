import { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Inject, Injectable, Post, Scope } from '@nestjs/common';
import {
  Command,
  CommandBus,
  CommandHandler,
  CqrsModule,
  EventBus,
  EventsHandler,
  type IEventHandler,
  ofType,
  Query,
  QueryBus,
  QueryHandler,
  Saga,
} from '@nestjs/cqrs';
import { InjectSession, InSession, SessionContext, SessionFactory } from 'nestjs-mikro-session';
import { mergeMap, map, type Observable } from 'rxjs';

import { findTexts } from '../support/find-texts.js';
import { noLiveScope } from '../support/no-live-scope.js';
import { Note } from '../support/note.entity.js';
import { injections } from '../support/test-app.js';
import { useTestApp } from '../support/use-test-app.js';

/** What a handler saw of its session. */
interface Seen {
  readonly id: number;
  readonly label: string;
  readonly isInTransaction: boolean;
  readonly tenant: unknown;
}

abstract class Told {
  readonly #handled = Promise.withResolvers<Seen>();
  readonly handled = this.#handled.promise;
  readonly tell = this.#handled.resolve;
  readonly fail = this.#handled.reject;
  constructor(readonly until: Promise<unknown> = Promise.resolve()) {}
}

class Written extends Told {}
class JoinedWritten extends Told {}
class Ordered extends Told {}
class OrderedLater extends Told {}

class Write extends Command<Seen> {
  constructor(
    readonly text: string,
    readonly told?: Told,
  ) {
    super();
  }
}

class Look extends Query<Seen> {}

abstract class Notes {
  protected abstract readonly session: EntityManager;
  protected abstract readonly context: SessionContext<EntityManager>;

  protected async write(text: string): Promise<Seen> {
    this.session.create(Note, { text });
    await this.session.flush();
    return this.look();
  }

  protected async look(): Promise<Seen> {
    await this.session.count(Note);
    const { label, info } = this.context.scope;
    return {
      id: this.context.current.id,
      label,
      isInTransaction: this.session.isInTransaction(),
      tenant: info['tenant'],
    };
  }
}

@Injectable()
abstract class SessionNotes extends Notes {
  constructor(
    @InjectSession() protected readonly session: EntityManager,
    @Inject(SessionContext) protected readonly context: SessionContext<EntityManager>,
  ) {
    super();
  }
}

@Injectable()
abstract class SingletonNotes extends Notes {
  constructor(
    @Inject(EntityManager) protected readonly session: EntityManager,
    @Inject(SessionContext) protected readonly context: SessionContext<EntityManager>,
  ) {
    super();
  }
}

@CommandHandler(Write)
class WriteHandler extends SessionNotes {
  async execute({ text, told }: Write): Promise<Seen> {
    const seen = await this.write(text);
    told?.tell(seen);
    return seen;
  }
}

@QueryHandler(Look)
class LookHandler extends SessionNotes {
  async execute(): Promise<Seen> {
    return this.look();
  }
}

@EventsHandler(Written)
class WrittenHandler extends SessionNotes implements IEventHandler<Written> {
  async handle({ until, tell, fail }: Written): Promise<void> {
    await until;
    await this.write('by the handler').then(tell, fail);
  }
}

@EventsHandler(Written)
class SingletonHandler extends SingletonNotes implements IEventHandler<Written> {
  async handle({ until, fail }: Written): Promise<void> {
    await until;
    await this.write('by the singleton').catch(fail);
  }
}

@EventsHandler(JoinedWritten)
class JoinedHandler extends SingletonNotes implements IEventHandler<JoinedWritten> {
  @InSession({ propagation: 'join' })
  async handle({ tell, fail }: JoinedWritten): Promise<void> {
    await this.write('joined').then(tell, fail);
  }
}

@EventsHandler(Written)
@Injectable({ scope: Scope.REQUEST })
class PerCallHandler extends SingletonNotes implements IEventHandler<Written> {
  async handle({ until, fail }: Written): Promise<void> {
    await until;
    await this.write('per call').catch(fail);
  }
}

class UserCreated {
  constructor(readonly name: string) {}
}

@EventsHandler(UserCreated)
class Welcome implements IEventHandler<UserCreated> {
  constructor(private readonly em: EntityManager) {}

  async handle({ name }: UserCreated): Promise<void> {
    await this.em.persist(this.em.create(Note, { text: `Welcome, ${name}!` })).flush();
  }
}

@Injectable()
class Sagas {
  constructor(
    private readonly context: SessionContext<EntityManager>,
    private readonly factory: SessionFactory<EntityManager>,
  ) {}

  @Saga()
  ordered = (events: Observable<object>): Observable<Write> =>
    events.pipe(
      ofType(Ordered),
      map((told) => new Write(`by the saga, ${this.context.scope.label}`, told)),
    );

  @Saga()
  orderedLater = (events: Observable<object>): Observable<Write> =>
    events.pipe(
      ofType(OrderedLater),
      mergeMap(async (told) => {
        const count = await this.factory.run((session) => session.count(Note));
        return new Write(`after ${count}`, told);
      }),
    );
}

@Controller()
class WritingController {
  constructor(
    private readonly events: EventBus,
    private readonly commands: CommandBus,
  ) {}

  @Post()
  async write(): Promise<string> {
    const { label } = await this.commands.execute(new Write('by the command'));
    this.events.publish(published);
    return label;
  }
}

/** What the controller publishes. */
let published: Written;

describe.each(injections)('@nestjs/cqrs with %s injection', (injection) => {
  let factory: SessionFactory<EntityManager>;
  let events: EventBus;

  const { app, database } = useTestApp({
    session: { injection, unflushed: 'error' },
    imports: [CqrsModule.forRoot()],
    controllers: [WritingController],
    providers: [
      WriteHandler,
      LookHandler,
      WrittenHandler,
      SingletonHandler,
      JoinedHandler,
      PerCallHandler,
      Welcome,
      Sagas,
    ],
  });

  beforeAll(() => {
    [factory, events] = [app.get(SessionFactory), app.get(EventBus)];
  });

  afterEach(async () => {
    await noLiveScope(app);
    await database.query('delete from note');
  });

  const texts = (): Promise<string[]> => findTexts(database, 'text');

  it('gives an event handler a session of its own, which the rollback of the publisher does not touch', async () => {
    const event = new Written();
    const begun = factory.begin(
      async (session) => {
        session.create(Note, { text: 'by the publisher' });
        await session.flush();
        events.publish(event);
        const seen = await event.handled;
        expect(seen).toMatchObject({
          label: 'event "Written" in WrittenHandler.handle',
          isInTransaction: false,
          tenant: 'a',
        });
        expect(seen.id).not.toBe(session.id);
        throw new Error('no');
      },
      { info: { tenant: 'a' } },
    );

    await expect(begun).rejects.toThrow('no');
    await noLiveScope(app);
    expect(await texts()).toEqual(['by the handler', 'by the singleton', 'per call']);
  });

  it('lets an event handler outlive the scope of the publisher', async () => {
    const gone = Promise.withResolvers<void>();
    const event = new Written(gone.promise);
    await factory.run(() => events.publish(event));
    gone.resolve();

    await expect(event.handled).resolves.toMatchObject({ isInTransaction: false });
    await noLiveScope(app);
    expect(await texts()).toEqual(['by the handler', 'by the singleton', 'per call']);
  });

  it('reaches the session of the call through an injected EntityManager', async () => {
    events.publish(new UserCreated('Ada'));

    await noLiveScope(app);
    expect(await texts()).toEqual(['Welcome, Ada!']);
  });

  it('shares the session of the publisher where the handler asks for it', async () => {
    const event = new JoinedWritten();
    const begun = factory.begin(async (session) => {
      events.publish(event);
      expect(await event.handled).toMatchObject({ id: session.id, isInTransaction: true });
      throw new Error('no');
    });

    await expect(begun).rejects.toThrow('no');
    expect(await texts()).toEqual([]);
  });

  it('lets commands and queries join the transaction of their caller', async () => {
    const [commands, queries] = [app.get<CommandBus>(CommandBus), app.get<QueryBus>(QueryBus)];
    const begun = factory.begin(async (session) => {
      expect(await commands.execute(new Write('a'))).toMatchObject({ id: session.id, isInTransaction: true });
      expect(await queries.execute(new Look())).toMatchObject({ id: session.id, isInTransaction: true });
      throw new Error('no');
    });

    await expect(begun).rejects.toThrow('no');
    expect(await texts()).toEqual([]);
  });

  it('gives the command of a saga a session of its own, with what is known of the publisher', async () => {
    const event = new Ordered();
    const begun = factory.begin(
      async (session) => {
        events.publish(event);
        const seen = await event.handled;
        expect(seen).toMatchObject({ label: 'saga "ordered" with Write', isInTransaction: false, tenant: 'a' });
        expect(seen.id).not.toBe(session.id);
        throw new Error('no');
      },
      { info: { tenant: 'a' } },
    );

    await expect(begun).rejects.toThrow('no');
    await noLiveScope(app);
    expect(await texts()).toEqual(['by the saga, saga "ordered" on Ordered']);
  });

  it('serves a saga that makes its command later', async () => {
    const event = new OrderedLater();
    await factory.run(() => events.publish(event), { info: { tenant: 'a' } });

    await expect(event.handled).resolves.toMatchObject({ label: 'saga "orderedLater" with Write', tenant: 'a' });
    await noLiveScope(app);
    expect(await texts()).toEqual(['after 0']);
  });

  it('has the command in the session of a request, and the event after it', async () => {
    const request = Promise.withResolvers<void>();
    published = new Written(request.promise);
    const response = await fetch(app.url, { method: 'POST' });

    expect(await response.text()).toBe('POST /');
    request.resolve();
    await expect(published.handled).resolves.toMatchObject({ label: 'event "Written" in WrittenHandler.handle' });
    await noLiveScope(app);
    expect(await texts()).toContain('by the command');
  });
});
