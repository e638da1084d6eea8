import { ApolloServerPluginInlineTraceDisabled } from '@apollo/server/plugin/disabled';
import { InjectRepository, MikroOrmModule } from '@mikro-orm/nestjs';
import { EntityManager, EntityRepository } from '@mikro-orm/postgresql';
import { ApolloFederationDriver, type ApolloFederationDriverConfig } from '@nestjs/apollo';
import {
  Directive,
  Field,
  GraphQLModule,
  Int,
  ObjectType,
  Parent,
  Query,
  ResolveField,
  Resolver,
  ResolveReference,
} from '@nestjs/graphql';
import { InjectSession, SessionContext, SessionRegistry } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { injections } from '../support/test-app.js';
import { useTestApp } from '../support/use-test-app.js';

@ObjectType('Note')
@Directive('@key(fields: "id")')
class NoteModel {
  @Field(() => Int)
  id!: number;

  @Field(() => String)
  text!: string;
}

@Resolver(() => NoteModel)
class NotesResolver {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    @InjectRepository(Note) private readonly notes: EntityRepository<Note>,
    private readonly context: SessionContext<EntityManager>,
  ) {}

  @Query(() => Int)
  sessionId(): number {
    return this.session.id;
  }

  @Query(() => [NoteModel])
  all(): Promise<Note[]> {
    return this.session.findAll(Note);
  }

  @ResolveReference()
  resolveReference({ id }: { readonly id: number }): Promise<Note> {
    return this.session.findOneOrFail(Note, id);
  }

  @ResolveField(() => Int)
  ownSession(@Parent() note: Note): number {
    return this.notes.getReference(note.id) === note ? this.context.current.id : NaN;
  }

  @ResolveField(() => String)
  label(): string {
    return this.context.scope.label;
  }
}

describe.each(injections)('a subgraph of a federation, with %s injection', (injection) => {
  const { app, database } = useTestApp({
    session: { injection },
    imports: [
      MikroOrmModule.forFeature([Note]),
      GraphQLModule.forRoot<ApolloFederationDriverConfig>({
        driver: ApolloFederationDriver,
        autoSchemaFile: { federation: 2 },
        graphiql: false,
        plugins: [ApolloServerPluginInlineTraceDisabled()],
      }),
    ],
    providers: [NotesResolver],
  });

  beforeAll(async () => {
    await database.query(`insert into note (text) select 'note ' || i from generate_series(1, 3) i`);
  });

  async function send<Data>(query: string, variables: object = {}): Promise<Data> {
    const response = await fetch(`${app.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = (await response.json()) as { readonly data: Data; readonly errors?: unknown };
    expect(errors).toBeUndefined();
    return data;
  }

  it('has one session for all the entities that a gateway asks for, and another for each operation', async () => {
    const ids = (await database.query<{ id: number }>('select id from note order by id')).map(({ id }) => id);
    const representations = ids.map((id) => ({ __typename: 'Note', id }));
    const query = `query Notes($representations: [_Any!]!) {
      sessionId
      _entities(representations: $representations) { ... on Note { text ownSession label } }
    }`;
    interface Answer {
      readonly sessionId: number;
      readonly _entities: readonly { readonly text: string; readonly ownSession: number; readonly label: string }[];
    }

    const [first, second] = await Promise.all([
      send<Answer>(query, { representations }),
      send<Answer>(query, { representations }),
    ]);

    expect(first._entities).toEqual(
      ['note 1', 'note 2', 'note 3'].map((text) => ({ text, ownSession: first.sessionId, label: 'query Notes' })),
    );
    expect(second._entities.map(({ ownSession }) => ownSession)).toEqual(ids.map(() => second.sessionId));
    expect(first.sessionId).not.toBe(second.sessionId);
  });

  it('tells its schema', async () => {
    const { _service } = await send<{ _service: { sdl: string } }>('{ _service { sdl } }');

    expect(_service.sdl).toContain('type Note\n  @key(fields: "id")');
    expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
  });
});
