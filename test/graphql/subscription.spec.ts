import { EventEmitter, on } from 'node:events';

import { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { BadRequestException, Injectable } from '@nestjs/common';
import { Args, Field, Int, ObjectType, Parent, Query, ResolveField, Resolver, Subscription } from '@nestjs/graphql';
import { type Client } from 'graphql-ws';
import { type WebSocket } from 'ws';
import { InjectSession, type Scope, SessionClosedError, SessionContext, SessionRegistry } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { injections } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { type Answer, drivers, type GraphqlApp, startGraphqlApp } from './graphql-app.js';

interface Sight {
  readonly place: string;
  readonly id: number;
  readonly session: EntityManager;
  readonly scope: Scope;
  readonly closed: Promise<void>;
}

/** Where a test and the resolvers it calls meet. */
@Injectable()
class Stage {
  readonly #events = new EventEmitter();
  listening = Promise.withResolvers<void>();
  sights: Sight[] = [];
  arrived = Promise.withResolvers<Sight>();
  goOn = Promise.withResolvers<void>();
  settled = Promise.withResolvers<unknown>();

  constructor(private readonly context: SessionContext<EntityManager>) {}

  see(place: string, id: number): Sight {
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    const { current: session, scope } = this.context;
    this.context.onClose(resolve);
    const sight = { place, id, session, scope, closed };
    this.sights.push(sight);
    return sight;
  }

  listen(): AsyncIterator<Payload> {
    this.listening.resolve();
    return on(this.#events, 'event') as AsyncIterator<Payload>;
  }

  publish(name: string): void {
    this.#events.emit('event', { name });
  }

  of(place: string): Sight[] {
    return this.sights.filter((sight) => sight.place === place);
  }
}

@ObjectType()
class Part {
  @Field(() => Int)
  number!: number;
}

@ObjectType()
class Event {
  @Field(() => String)
  name!: string;
}

type Payload = [event: { readonly name: string }];

@Resolver()
class EventsResolver {
  constructor(
    private readonly stage: Stage,
    private readonly orm: MikroORM,
    private readonly context: SessionContext<EntityManager>,
  ) {}

  @Query(() => Int)
  needed(): number {
    return 0;
  }

  @Subscription(() => Event, {
    resolve(this: EventsResolver, [event]: Payload) {
      this.stage.see('resolve', this.orm.em.id);
      return event;
    },
  })
  events(): AsyncIterator<Payload> {
    this.stage.see('subscribe', this.orm.em.id);
    return this.stage.listen();
  }

  @Subscription(() => Event, {
    async filter(this: EventsResolver, [event]: Payload, { name }: { name: string }) {
      this.stage.see('filter', this.orm.em.id);
      const [row] = await this.orm.em.execute<{ same: boolean }[]>('select ?::text = ?::text as same', [
        event.name,
        name,
      ]);
      return row?.same ?? false;
    },
    resolve: ([event]: Payload) => event,
  })
  named(@Args('name', { type: () => String }) _name: string): AsyncIterator<Payload> {
    return this.stage.listen();
  }

  @Subscription(() => Event, { resolve: (event: object) => event })
  async *generated(): AsyncGenerator<object> {
    yield { name: this.context.tryScope?.label ?? 'no scope' };
    await this.stage.listen().next();
    yield { name: this.context.tryScope?.label ?? 'no scope' };
  }
}

@Resolver(() => Event)
class EventResolver {
  constructor(
    private readonly stage: Stage,
    @InjectSession() private readonly session: EntityManager,
  ) {}

  @ResolveField(() => [Part])
  async parts(): Promise<Part[]> {
    const [row] = await this.session.execute<{ one: number }[]>('select 1 as one');
    this.stage.see('field', this.session.id);
    return Array.from({ length: 5 }, (_, i) => ({ number: i + (row?.one ?? 0) }));
  }

  @ResolveField(() => Int)
  async waits(@Parent() { name }: Event): Promise<number> {
    await this.session.begin();
    this.session.create(Note, { text: 'never committed' });
    await this.session.flush();
    this.stage.arrived.resolve(this.stage.see('field', this.session.id));
    if (name === 'fails') {
      throw new BadRequestException('on purpose');
    }
    await this.stage.goOn.promise;
    this.stage.settled.resolve(await this.session.count(Note).catch((error: unknown) => error));
    return 0;
  }
}

@Resolver(() => Part)
class PartResolver {
  constructor(
    private readonly stage: Stage,
    @InjectSession() private readonly session: EntityManager,
  ) {}

  @ResolveField(() => Int)
  sessionId(): number {
    this.stage.see('part', this.session.id);
    return this.session.id;
  }
}

describe.each(drivers)('an event of a GraphQL subscription with %s', (driver) => {
  describe.each(injections)('and %s injection', (injection) => {
    let database: TestDatabase;
    let app: GraphqlApp;
    let stage: Stage;
    let client: Client;

    beforeAll(async () => {
      database = await createTestDatabase();
      app = await startGraphqlApp({
        databaseUrl: database.url,
        driver,
        session: { injection },
        providers: [Stage, EventsResolver, EventResolver, PartResolver],
      });
      stage = app.get(Stage);
    });

    beforeEach(() => {
      const { arrived, goOn, settled } = new Stage(app.get(SessionContext));
      Object.assign(stage, { sights: [], arrived, goOn, settled });
      client = app.connect();
    });

    afterEach(async () => {
      await client.dispose();
    });

    afterAll(async () => {
      await app.close();
      await database.drop();
    });

    /** Subscribes, and comes back when the server listens. */
    const subscribe = async <Data>(query: string): Promise<AsyncIterableIterator<Answer<Data>>> => {
      stage.listening = Promise.withResolvers();
      const events = client.iterate({ query }) as AsyncIterableIterator<Answer<Data>>;
      await stage.listening.promise;
      return events;
    };

    const sessionsOf = (sights: readonly Sight[]): number[] => [...new Set(sights.map(({ id }) => id))];

    it('has a session of its own, which its field resolvers share', async () => {
      const events = await subscribe('subscription OnEvent { events { name parts { number sessionId } } }');
      const places = ['resolve', 'field', 'part', 'part', 'part', 'part', 'part'];
      const perEvent: number[][] = [];

      for (const name of ['first', 'second', 'third']) {
        stage.publish(name);
        const { value } = await events.next();
        expect(value).toMatchObject({ data: { events: { name } } });
        const sights = stage.sights.splice(0).filter(({ place }) => place !== 'subscribe');
        expect(sights.map(({ place }) => place)).toEqual(places);
        expect(sights[0]?.scope).toMatchObject({ kind: 'operation', label: 'subscription OnEvent' });
        perEvent.push(sessionsOf(sights));
      }

      expect(perEvent.map((sessions) => sessions.length)).toEqual([1, 1, 1]);
      expect(new Set(perEvent.flat()).size).toBe(3);
    });

    it('leaves no session to the connection when it has been delivered', async () => {
      const events = await subscribe('subscription { events { parts { sessionId } } }');
      stage.publish('first');
      await events.next();

      await Promise.all(stage.sights.map(({ closed }) => closed));

      expect(stage.sights.map(({ place }) => place).slice(0, 3)).toEqual(['subscribe', 'resolve', 'field']);
      expect(sessionsOf(stage.sights)).toHaveLength(2);
      expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
      expect(() => stage.sights[1]?.session.clear()).toThrow(SessionClosedError);
    });

    it('has a session per subscriber, also on one connection', async () => {
      const query = 'subscription Same { events { parts { sessionId } } }';
      const subscriptions = [await subscribe(query), await subscribe(query), await subscribe(query)];
      stage.publish('first');
      await Promise.all(subscriptions.map((events) => events.next()));

      expect(stage.of('part')).toHaveLength(15);
      expect(sessionsOf(stage.of('part'))).toHaveLength(3);
    });

    it('rolls back what it left open, and closes, when a resolver fails', async () => {
      const events = await subscribe('subscription { events { name waits } }');
      stage.publish('fails');

      const { value } = await events.next();

      expect((value as Answer<unknown>).errors).toMatchObject([{ message: 'on purpose' }]);
      const { closed, scope } = await stage.arrived.promise;
      await closed;
      expect(scope.state).not.toBe('open');
      await database.untilNoTransaction();
    });

    it('rolls back what it left open, and closes, when the client goes away', async () => {
      let socket: WebSocket | undefined;
      client.on('connected', (connected) => (socket = connected as WebSocket));
      await subscribe('subscription { events { waits } }');
      stage.publish('first');
      const { closed, session } = await stage.arrived.promise;

      socket?.terminate();
      await closed;

      await database.untilNoTransaction();
      expect(() => session.clear()).toThrow(SessionClosedError);
      stage.goOn.resolve();
      expect(await stage.settled.promise).toBeInstanceOf(SessionClosedError);
    });

    it('is filtered in a session of its own', async () => {
      const events = await subscribe<{ named: object }>(
        'subscription { named(name: "wanted") { name parts { sessionId } } }',
      );
      stage.publish('unwanted');
      stage.publish('wanted');

      const { value } = await events.next();

      expect(value).toMatchObject({ data: { named: { name: 'wanted' } } });
      await Promise.all(stage.sights.map(({ closed }) => closed));
      expect(stage.of('filter').map(({ scope }) => scope.label)).toEqual([
        'subscription filter of EventsResolver',
        'subscription filter of EventsResolver',
      ]);
      expect(sessionsOf(stage.of('filter'))).toHaveLength(2);
      expect(sessionsOf(stage.sights)).toHaveLength(3);
    });

    it('is made in no scope by a generator, which may open one', async () => {
      const events = client.iterate({ query: 'subscription { generated { name } }' });

      expect(await events.next()).toMatchObject({ value: { data: { generated: { name: 'no scope' } } } });
      await stage.listening.promise;
      stage.publish('go on');
      expect(await events.next()).toMatchObject({ value: { data: { generated: { name: 'no scope' } } } });
    });
  });
});
