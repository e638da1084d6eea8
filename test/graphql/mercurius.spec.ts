import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import {
  Context,
  Field,
  Int,
  Mutation,
  ObjectType,
  Parent,
  Query,
  ResolveField,
  Resolver,
  Subscription,
} from '@nestjs/graphql';
import type { MercuriusDriverConfig } from '@nestjs/mercurius';
import type { PubSub } from 'mercurius';
import { type Scope, SessionContext } from 'nestjs-mikro-session';

import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { type Answer, type GraphqlApp, startGraphqlApp } from './graphql-app.js';

@Injectable()
class Seen {
  readonly scopes: (Scope | undefined)[] = [];
  readonly subscribed = Promise.withResolvers<void>();
}

@ObjectType()
class Item {
  @Field(() => Int)
  id!: number;

  @Field(() => Int, { nullable: true })
  loaded?: number;
}

@Resolver(() => Item)
class ItemResolver {
  constructor(
    private readonly context: SessionContext<EntityManager>,
    private readonly seen: Seen,
  ) {}

  @Query(() => Int)
  sessionId(): number {
    this.seen.scopes.push(this.context.scope);
    return this.context.current.id;
  }

  @Query(() => [Item])
  items(): Item[] {
    return [{ id: 1 }, { id: 2 }];
  }

  @ResolveField(() => Int)
  ofSession(@Parent() _item: Item): number {
    return this.context.current.id;
  }

  @Mutation(() => Int)
  async publish(@Context('pubsub') pubsub: PubSub): Promise<number> {
    await new Promise<void>((resolve) =>
      pubsub.publish({ topic: 'items', payload: { published: { id: 3 } } }, resolve),
    );
    return this.context.current.id;
  }

  @Subscription(() => Item)
  async published(@Context('pubsub') pubsub: PubSub): Promise<unknown> {
    const items = await pubsub.subscribe('items');
    this.seen.subscribed.resolve();
    return items;
  }
}

describe('Mercurius', () => {
  let database: TestDatabase;
  let app: GraphqlApp;

  const start = async (mercurius: Partial<MercuriusDriverConfig>): Promise<void> => {
    database = await createTestDatabase();
    app = await startGraphqlApp({
      databaseUrl: database.url,
      driver: 'mercurius',
      session: { injection: 'contextual' },
      mercurius,
      providers: [Seen, ItemResolver],
    });
  };

  afterEach(async () => {
    await app.close();
    await database.drop();
  });

  it('delivers the events of its own publisher, each in a session of its own', async () => {
    await start({});
    const client = app.connect();
    const events = client.iterate({ query: 'subscription { published { id ofSession } }' });
    await app.get<Seen>(Seen).subscribed.promise;
    const sessions: number[] = [];

    for (const round of [1, 2]) {
      const { data } = await app.send<{ publish: number }>(`mutation Round${round} { publish }`);
      const { value } = await events.next();
      const event = value as Answer<{ published: { id: number; ofSession: number } }>;
      expect(event.data.published.id).toBe(3);
      sessions.push(data.publish, event.data.published.ofSession);
    }

    expect(new Set(sessions).size).toBe(4);
    await client.dispose();
  });

  it.each([{ jit: 1 }, { jit: 0, subscription: false }])('shares the session with its loaders: %p', async (options) => {
    const context = (): SessionContext<EntityManager> => app.get(SessionContext);
    const loaded = async (queries: readonly object[]): Promise<number[]> => queries.map(() => context().current.id);
    await start({ ...options, loaders: { Item: { loaded } } });

    for (const name of ['First', 'Second', 'Third']) {
      const { data, errors } = await app.send<{ sessionId: number }>(
        `query ${name} { sessionId items { loaded ofSession } }`,
      );

      expect(errors).toBeUndefined();
      const item = { loaded: data.sessionId, ofSession: data.sessionId };
      expect(data).toMatchObject({ items: [item, item] });
    }
  });

  it('names operations that it has compiled, too', async () => {
    await start({ jit: 1 });

    for (let i = 0; i < 4; i += 1) {
      await app.send('query Compiled { sessionId }');
    }

    const labels = app.get<Seen>(Seen).scopes.map((scope) => scope?.label);
    expect(labels).toEqual(Array.from({ length: 4 }, () => 'query Compiled'));
  });

  it('keeps requests apart whose context is one and the same object', async () => {
    await start({ context: {} as never });

    const answers = await Promise.all(
      Array.from({ length: 5 }, () => app.send<{ sessionId: number }>('{ sessionId }')),
    );

    expect(new Set(answers.map(({ data }) => data.sessionId)).size).toBe(5);
  });

  it('opens no scope for a connection', async () => {
    const context = (): SessionContext<EntityManager> => app.get(SessionContext);
    const scope = Promise.withResolvers<Scope | undefined>();
    const onConnect = (): boolean => {
      scope.resolve(context().tryScope);
      return true;
    };
    await start({ subscription: { onConnect, fullWsTransport: true } });
    const client = app.connect();

    await client.iterate({ query: '{ sessionId }' }).next();

    expect(await scope.promise).toBeUndefined();
    await client.dispose();
  });
});
