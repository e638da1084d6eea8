import { execute } from '@graphql-tools/executor';
import { EntityManager } from '@mikro-orm/postgresql';
import type { ApolloDriverConfig } from '@nestjs/apollo';
import { Field, Int, ObjectType, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { DirectiveLocation, GraphQLBoolean, GraphQLDirective, GraphQLString, specifiedDirectives } from 'graphql';
import { InjectSession, type Scope, SessionContext } from 'nestjs-mikro-session';

import { noLiveScope } from '../support/no-live-scope.js';
import { Note } from '../support/note.entity.js';
import { injections } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { type GraphqlApp, startGraphqlApp } from './graphql-app.js';

const defer = new GraphQLDirective({
  name: 'defer',
  locations: [DirectiveLocation.FRAGMENT_SPREAD, DirectiveLocation.INLINE_FRAGMENT],
  args: { if: { type: GraphQLBoolean, defaultValue: true }, label: { type: GraphQLString } },
});

const seen: Scope[] = [];
let goOn = Promise.withResolvers<void>();
let closed = Promise.withResolvers<void>();

@ObjectType()
class Report {
  @Field(() => Int)
  session!: number;
}

@Resolver(() => Report)
class ReportResolver {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly context: SessionContext<EntityManager>,
  ) {}

  @Query(() => Report)
  report(): Report {
    seen.push(this.context.scope);
    this.context.onClose(() => closed.resolve());
    return { session: this.session.id };
  }

  @ResolveField(() => Int)
  async later(): Promise<number> {
    await goOn.promise;
    return this.session.id + (await this.session.count(Note));
  }

  @ResolveField(() => Int)
  async failing(): Promise<number> {
    await this.session.begin();
    await this.session.insert(Note, { text: 'never committed' });
    throw new Error('on purpose');
  }
}

const places = injections.flatMap((injection) =>
  (['express', 'fastify'] as const).map((platform) => ({ injection, platform })),
);

describe.each(places)('@defer with Apollo over $platform, with $injection injection', ({ injection, platform }) => {
  let database: TestDatabase;
  let app: GraphqlApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    const apollo: Partial<ApolloDriverConfig> = {
      buildSchemaOptions: { directives: [...specifiedDirectives, defer] },
      legacyExperimentalExecuteIncrementally: execute as never,
    };
    app = await startGraphqlApp({
      databaseUrl: database.url,
      driver: 'apollo',
      platform,
      apollo,
      session: { injection },
      providers: [ReportResolver],
    });
  });

  beforeEach(() => {
    seen.length = 0;
    goOn = Promise.withResolvers<void>();
    closed = Promise.withResolvers<void>();
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  async function open(fields: string, signal?: AbortSignal): Promise<AsyncIterator<string>> {
    const response = await fetch(`${app.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'multipart/mixed; deferSpec=20220824' },
      body: JSON.stringify({ query: `{ report { session ... @defer { ${fields} } } }` }),
      ...(signal === undefined ? {} : { signal }),
    });
    return response.body?.pipeThrough(new TextDecoderStream()).values() as AsyncIterator<string>;
  }

  async function readAll(parts: AsyncIterator<string>): Promise<string> {
    const { value, done } = await parts.next();
    return done === true ? '' : `${value}${await readAll(parts)}`;
  }

  it('ends the session when the client has left', async () => {
    const client = new AbortController();
    const parts = await open('later', client.signal);
    await parts.next();

    client.abort();

    await closed.promise;
    goOn.resolve();
    await noLiveScope(app);
    expect(seen.map(({ signal, state }) => [signal.aborted, state])).toEqual([[true, 'closed']]);
  });

  it('keeps the session for what comes later, and ends it then', async () => {
    const parts = await open('later');
    const { value: first } = (await parts.next()) as { value: string };
    const { session } = (JSON.parse(/\{.*\}/.exec(first)?.[0] ?? '') as { data: { report: { session: number } } }).data
      .report;

    expect(seen.map(({ state }) => state)).toEqual(['open']);
    goOn.resolve();

    expect(await readAll(parts)).toContain(`"later":${session}`);
    expect(seen.map(({ state }) => state)).toEqual(['closed']);
  });

  it('rolls back where what comes later fails', async () => {
    const parts = await readAll(await open('failing'));

    expect(parts).toContain('on purpose');
    expect(seen.map(({ state }) => state)).toEqual(['closed']);
    expect(await database.countOpenTransactions()).toBe(0);
    expect(await database.query('select * from note')).toEqual([]);
  });
});
