import { TransactionContext } from '@mikro-orm/core';
import { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { ApolloDriver } from '@nestjs/apollo';
import { Inject, Injectable, type MiddlewareConsumer, Module, type NestMiddleware } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { Field, GraphQLModule, Int, ObjectType, Query, Resolver } from '@nestjs/graphql';
import { type MercuriusDriver } from '@nestjs/mercurius';
import { InjectSession, SessionContext, SessionFactory } from 'nestjs-mikro-session';

import { injections } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { drivers, type GraphqlApp, startGraphqlApp } from './graphql-app.js';

/** An object of the user with a member that uses the current session when GraphQL reads it. */
@ObjectType()
class Members {
  readonly #context: SessionContext<EntityManager>;

  constructor(context: SessionContext<EntityManager>) {
    this.#context = context;
  }

  @Field(() => Int)
  get getter(): number {
    return this.#context.current.id;
  }
}

@Resolver(() => Members)
class MembersResolver {
  constructor(
    private readonly context: SessionContext<EntityManager>,
    private readonly orm: MikroORM,
    @InjectSession() private readonly session: EntityManager,
  ) {}

  @Query(() => Int)
  sessionId(): number {
    return this.session.id;
  }

  @Query(() => Members)
  async members(): Promise<Members> {
    return new Members(this.context);
  }

  @Query(() => Boolean)
  inTransaction(): boolean {
    return this.orm.em.isInTransaction() || TransactionContext.getEntityManager()?.isInTransaction() === true;
  }
}

/** NestJS keeps the instances that this middleware needs with the HTTP request. */
@Injectable()
class ScopedMiddleware implements NestMiddleware {
  static readonly sessions: number[] = [];

  constructor(
    @InjectSession() private readonly session: EntityManager,
    @Inject(REQUEST) readonly request: unknown,
  ) {}

  use(_request: unknown, _response: unknown, next: () => void): void {
    ScopedMiddleware.sessions.push(this.session.id);
    next();
  }
}

@Module({})
class ScopedMiddlewareModule {
  configure(consumer: MiddlewareConsumer): void {
    consumer.apply(ScopedMiddleware).forRoutes('graphql');
  }
}

/** Runs an operation in this process, without HTTP. */
async function runOperation(app: GraphqlApp, query: string): Promise<unknown> {
  const { graphQlAdapter } = app.app.get(GraphQLModule);
  if (graphQlAdapter instanceof ApolloDriver) {
    const { body } = await graphQlAdapter.instance.executeOperation({ query });
    return body.kind === 'single' ? body.singleResult.data : undefined;
  }
  return (await (graphQlAdapter as MercuriusDriver).instance.graphql(query)).data;
}

describe.each(drivers)('a GraphQL operation with %s', (driver) => {
  describe.each(injections)('and %s injection', (injection) => {
    let database: TestDatabase;
    let app: GraphqlApp;

    beforeAll(async () => {
      database = await createTestDatabase();
      app = await startGraphqlApp({
        databaseUrl: database.url,
        driver,
        session: { injection },
        imports: [ScopedMiddlewareModule],
        providers: [MembersResolver],
      });
    });

    afterAll(async () => {
      await app.close();
      await database.drop();
    });

    it('shares its session with the getters of what its resolvers return', async () => {
      const { data, errors } = await app.send<{ sessionId: number; members: object }>(
        '{ sessionId members { getter } }',
      );

      expect(errors).toBeUndefined();
      expect(data.members).toEqual({ getter: data.sessionId });
    });

    it('shares no request-scoped instance with a middleware of its HTTP request', async () => {
      ScopedMiddleware.sessions.length = 0;

      const answers = await app.sendBatch<{ sessionId: number }>(['{ sessionId }', '{ sessionId }', '{ sessionId }']);

      const sessions = [...ScopedMiddleware.sessions, ...answers.map(({ data }) => data.sessionId)];
      expect(new Set(sessions).size).toBe(4);
    });

    it('is isolated from a transaction that it is started in', async () => {
      const factory = app.get<SessionFactory>(SessionFactory);

      const data = await factory.run((session) =>
        session.transactional(async (transaction) => {
          const seen = (await runOperation(app, '{ sessionId inTransaction }')) as object;
          return { ...seen, outer: transaction.isInTransaction() };
        }),
      );

      expect(data).toEqual({ sessionId: expect.any(Number), inTransaction: false, outer: true });
    });
  });
});
