import type { ApolloServerPlugin } from '@apollo/server';
import { EntityManager } from '@mikro-orm/postgresql';
import type { ApolloDriverConfig } from '@nestjs/apollo';
import { BadRequestException, Injectable } from '@nestjs/common';
import { Int, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { type Scope, SessionContext } from 'nestjs-mikro-session';

import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { type GraphqlApp, startGraphqlApp } from './graphql-app.js';

@Injectable()
class Seen {
  readonly scopes: Scope[] = [];
}

@Resolver('Query')
class SessionResolver {
  constructor(
    private readonly context: SessionContext<EntityManager>,
    private readonly seen: Seen,
  ) {}

  @Query(() => Int)
  async sessionId(): Promise<number> {
    this.seen.scopes.push(this.context.scope);
    return this.context.current.id;
  }

  @Query(() => Int)
  async throws(): Promise<number> {
    await this.sessionId();
    throw new BadRequestException('on purpose');
  }
}

@Resolver('Query')
class SchemaFirstResolver {
  constructor(private readonly context: SessionContext<EntityManager>) {}

  @ResolveField('sessionId')
  sessionId(): number {
    return this.context.current.id;
  }

  @ResolveField('members')
  members(): object {
    return { method: () => this.context.current.id };
  }
}

describe('Apollo Server', () => {
  let database: TestDatabase;
  let app: GraphqlApp;

  const start = async (apollo: Partial<ApolloDriverConfig>, resolver = SessionResolver as never): Promise<void> => {
    database = await createTestDatabase();
    app = await startGraphqlApp({
      databaseUrl: database.url,
      driver: 'apollo',
      session: { injection: 'contextual' },
      apollo,
      providers: [Seen, resolver],
    });
  };

  afterEach(async () => {
    await app.close();
    await database.drop();
  });

  it('closes the session also when a plugin fails after the resolvers', async () => {
    const failing: ApolloServerPlugin = {
      requestDidStart: async () => ({ didEncounterErrors: () => Promise.reject(new Error('a failing plugin')) }),
    };
    const silent = { debug() {}, info() {}, warn() {}, error() {} };
    await start({ plugins: [failing], logger: silent });

    const { errors } = await app.send('{ throws }');

    expect(errors).toMatchObject([{ message: 'Internal server error' }]);
    expect(app.get<Seen>(Seen).scopes.map(({ state }) => state)).toEqual(['closed']);
  });

  it('gives the resolvers the very context that plugins see', async () => {
    const context = { touched: 0 };
    const plugin: ApolloServerPlugin = {
      requestDidStart: async () => ({
        executionDidStart: async () => ({
          willResolveField: ({ contextValue }) => {
            (contextValue as typeof context).touched += 1;
          },
        }),
        willSendResponse: async ({ contextValue }) => {
          context.touched = (contextValue as typeof context).touched;
        },
      }),
    };
    await start({ context: () => ({ touched: 0 }), plugins: [plugin] });

    await app.send('{ first: sessionId second: sessionId }');

    expect(context.touched).toBe(2);
  });

  it('keeps operations apart whose context is one and the same frozen object', async () => {
    const context = Object.freeze({ req: {} });
    await start({ context: () => context });
    const client = app.connect();

    const answers = await Promise.all(
      Array.from({ length: 5 }, () => client.iterate({ query: '{ sessionId }' }).next()),
    );
    const { data } = await app.send<{ sessionId: number }>('{ sessionId }');
    await client.dispose();

    const ids = answers.map(({ value }) => (value as { data: { sessionId: number } }).data.sessionId);
    expect(new Set([...ids, data.sessionId]).size).toBe(6);
    expect(app.get<Seen>(Seen).scopes.map(({ label }) => label)).toEqual(Array.from({ length: 6 }, () => 'query'));
  });

  it('shares the session with functions that it finds in what a resolver of a given schema returned', async () => {
    const typeDefs = 'type Query { sessionId: Int members: Members } type Members { method: Int }';
    await start({ autoSchemaFile: false, typeDefs }, SchemaFirstResolver as never);

    const { data } = await app.send<{ sessionId: number; members: object }>('{ sessionId members { method } }');

    expect(data.members).toEqual({ method: data.sessionId });
  });

  it('uses its own fieldResolver for the fields that have none', async () => {
    const typeDefs = 'type Query { sessionId: Int members: Members } type Members { method: Int }';
    await start({ autoSchemaFile: false, typeDefs, fieldResolver: () => 7 }, SchemaFirstResolver as never);

    expect(await app.send('{ members { method } }')).toEqual({ data: { members: { method: 7 } } });
  });
});
