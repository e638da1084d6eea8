import { once } from 'node:events';
import { request as httpRequest } from 'node:http';

import { EntityManager } from '@mikro-orm/postgresql';
import { BadRequestException, Injectable } from '@nestjs/common';
import { Field, Int, Mutation, ObjectType, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { InjectSession, type Scope, SessionClosedError, SessionContext, SessionRegistry } from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { Note } from '../support/note.entity.js';
import { injections } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { drivers, type GraphqlApp, startGraphqlApp } from './graphql-app.js';

/** Where a test and the resolvers it calls meet. */
@Injectable()
class Stage {
  arrived = Promise.withResolvers<{ readonly session: EntityManager; readonly scope: Scope }>();
  goOn = Promise.withResolvers<void>();
  settled = Promise.withResolvers<unknown>();
}

@ObjectType()
class Child {
  @Field(() => Int, { nullable: true })
  value?: number;
}

@Resolver(() => Child)
class StageResolver {
  constructor(
    private readonly stage: Stage,
    @InjectSession() private readonly session: EntityManager,
    private readonly context: SessionContext<EntityManager>,
  ) {}

  @Query(() => Int)
  async open(): Promise<number> {
    await this.begin();
    return 1;
  }

  @Query(() => Int)
  async throws(): Promise<number> {
    await this.begin();
    throw new BadRequestException('on purpose');
  }

  @Query(() => Child)
  child(): object {
    return {};
  }

  @ResolveField(() => Int)
  async failing(): Promise<number> {
    await this.begin();
    throw new BadRequestException('on purpose');
  }

  @Mutation(() => Int)
  async waits(): Promise<number> {
    await this.begin();
    await this.stage.goOn.promise;
    this.stage.settled.resolve(
      await this.session.count(Note, { text: 'never committed' }).catch((error: unknown) => error),
    );
    return 1;
  }

  @Query(() => Int)
  async outlives(): Promise<number> {
    await this.begin();
    void this.stage.goOn.promise.then(async () => {
      this.stage.settled.resolve(await this.session.count(Note).catch((error: unknown) => error));
    });
    return 1;
  }

  @Mutation(() => Int)
  forgets(): number {
    this.session.create(Note, { text: 'forgotten' });
    return 1;
  }

  @Mutation(() => Int)
  forgetsAndThrows(): number {
    this.session.create(Note, { text: 'forgotten' });
    throw new BadRequestException('on purpose');
  }

  private async begin(): Promise<void> {
    await this.session.begin();
    this.session.create(Note, { text: 'never committed' });
    await this.session.flush();
    this.stage.arrived.resolve({ session: this.context.current, scope: this.context.scope });
  }
}

describe.each(drivers)('the end of a GraphQL operation with %s', (driver) => {
  describe.each(injections)('and %s injection', (injection) => {
    let database: TestDatabase;
    let app: GraphqlApp;
    let stage: Stage;

    beforeAll(async () => {
      database = await createTestDatabase();
      app = await startGraphqlApp({
        databaseUrl: database.url,
        driver,
        session: { injection },
        providers: [Stage, StageResolver],
      });
      stage = app.get(Stage);
    });

    beforeEach(() => Object.assign(stage, new Stage()));

    afterAll(async () => {
      await app.close();
      await database.drop();
    });

    const isIdleInTransaction = `select count(*) > 0 as idle from pg_stat_activity
      where datname = current_database() and state like 'idle in%'`;

    it.each(['query Open { open }', 'query Throws { throws }', 'query Failing { child { failing } }'])(
      'rolls back what was left open and closes the session before the answer: %s',
      async (query) => {
        await app.send(query);
        const { session, scope } = await stage.arrived.promise;

        expect(scope.state).toBe('closed');
        expect(await database.query(isIdleInTransaction)).toEqual([{ idle: false }]);
        expect(() => session.clear()).toThrow(SessionClosedError);
        expect(() => session.clear()).toThrow(`The session of "${query.replace(/ \{.*/u, '')}" was used after its end`);
        expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
        expect(await database.query('select * from note')).toEqual([]);
      },
    );

    it('waits for the resolvers when the client goes away', async () => {
      const headers = { 'content-type': 'application/json' };
      const request = httpRequest(`${app.url}/graphql`, { method: 'POST', headers });
      request.on('error', () => undefined);
      request.end(JSON.stringify({ query: 'mutation Waits { waits }' }));
      const { session, scope } = await stage.arrived.promise;
      const { signal } = scope;
      request.destroy();
      await once(signal, 'abort');
      expect(scope.state).toBe('open');

      stage.goOn.resolve();

      expect(await stage.settled.promise).toBe(1);
      await database.until(`select not idle from (${isIdleInTransaction}) as connections`);
      expect(scope.state).toBe('closed');
      expect(() => session.clear()).toThrow(SessionClosedError);
    });

    it('leaves no session to a promise that outlives the operation', async () => {
      await app.send('query Outlives { outlives }');

      stage.goOn.resolve();

      expect(await stage.settled.promise).toBeInstanceOf(SessionClosedError);
    });

    it('tells of changes that were not flushed', async () => {
      using log = new CapturedLog();

      await app.send('mutation Forgets { forgets }');

      expect(log.warnings).toEqual([
        expect.stringContaining('The scope "mutation Forgets" ended with 1 unflushed change(s)'),
      ]);
    });

    it('tells nothing of changes that failed with their operation', async () => {
      using log = new CapturedLog();

      await app.send('mutation { forgetsAndThrows }');

      expect(log.warnings).toEqual([]);
    });

    it('comes to a query through a WebSocket, too', async () => {
      const client = app.connect();
      const answers = client.iterate({ query: 'query Open { open }' });

      expect(await answers.next()).toEqual({ done: false, value: { data: { open: 1 } } });
      await answers.next();

      const { scope } = await stage.arrived.promise;
      expect(scope.label).toBe('query Open');
      expect(scope.state).toBe('closed');
      expect(await database.query(isIdleInTransaction)).toEqual([{ idle: false }]);
      await client.dispose();
    });
  });

  it('fails the operation for changes that were not flushed, where the options say so', async () => {
    const database = await createTestDatabase();
    const reported: string[] = [];
    const logger = { debug() {}, info() {}, warn() {}, error: (message: unknown) => reported.push(String(message)) };
    const app = await startGraphqlApp({
      databaseUrl: database.url,
      driver,
      session: { unflushed: 'error' },
      apollo: { logger },
      providers: [Stage, StageResolver],
    });

    using log = new CapturedLog();

    const { errors } = await app.send('mutation { forgets }');

    const [error] = errors ?? [];
    expect([error?.message, ...reported].join()).toContain('The scope "mutation" ended with 1 unflushed change(s)');
    expect(log.errors).toEqual([]);
    await app.close();
    await database.drop();
  });
});
