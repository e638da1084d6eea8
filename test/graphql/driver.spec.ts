import { MikroOrmModule } from '@mikro-orm/nestjs';
import { Module } from '@nestjs/common';
import { AbstractGraphQLDriver, GraphQLModule, Int, Query, Resolver } from '@nestjs/graphql';
import { Test } from '@nestjs/testing';
import { SessionContext, SessionModule } from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { ormOptions } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { drivers, startGraphqlApp } from './graphql-app.js';

@Resolver()
class SessionResolver {
  constructor(private readonly context: SessionContext) {}

  @Query(() => Int)
  sessionId(): number {
    return this.context.current.id;
  }
}

class UnknownDriver extends AbstractGraphQLDriver {
  async start(): Promise<void> {}

  async stop(): Promise<void> {}
}

@Module({ providers: [{ provide: 'GqlModuleOptions', useValue: {} }] })
class ChangedGraphQLModule {}

describe('the driver of GraphQL', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(() => database.drop());

  it.each(drivers)(
    'opens a session per operation when a bundler has renamed the class of the %s driver',
    async (driver) => {
      const { name } = AbstractGraphQLDriver;
      Object.defineProperty(AbstractGraphQLDriver, 'name', { value: 't' });
      const app = await startGraphqlApp({ driver, databaseUrl: database.url, providers: [SessionResolver] });

      const [first, second] = await app.sendBatch<{ sessionId: number }>(['{ sessionId }', '{ sessionId }']);

      expect(first?.data.sessionId).not.toBe(second?.data.sessionId);
      Object.defineProperty(AbstractGraphQLDriver, 'name', { value: name });
      await app.close();
    },
  );

  it.each([
    ['is not known', GraphQLModule.forRoot({ driver: UnknownDriver, autoSchemaFile: true }), 'UnknownDriver'],
    ['is not found', ChangedGraphQLModule, 'AbstractGraphQLDriver'],
  ])('is warned of at start where it %s', async (_case, module, className) => {
    const testing = await Test.createTestingModule({
      imports: [MikroOrmModule.forRoot(ormOptions(database.url)), SessionModule.forRoot(), module],
      providers: [SessionResolver],
    }).compile();
    const app = testing.createNestApplication();
    using log = new CapturedLog();

    await app.init();

    expect(log.warnings).toEqual([
      expect.stringContaining(
        `No sessions are opened for GraphQL operations, which share the session of their request: "${className}" of @nestjs/graphql `,
      ),
    ]);
    await app.close();
  });
});
