import type { EntityManager } from '@mikro-orm/postgresql';
import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { Inject, Module } from '@nestjs/common';
import { Args, GraphQLModule, Mutation, Query, Resolver } from '@nestjs/graphql';
import { InjectSession, SessionContext } from 'nestjs-mikro-session';

import { expectEqual } from './expect-equal.js';
import { Note } from './note.js';
import type { Extra } from './smoke.js';

@Resolver()
class NotesResolver {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    @Inject(SessionContext) private readonly context: SessionContext<EntityManager>,
  ) {}

  @Query(() => Number)
  count(@Args('text', { type: () => String }) text: string): Promise<number> {
    return this.session.count(Note, { text });
  }

  @Mutation(() => String)
  async write(@Args('text', { type: () => String }) text: string): Promise<string> {
    this.session.create(Note, { text });
    await this.session.flush();
    return `${this.context.scope.kind} ${this.context.current.id === this.session.id}`;
  }
}

@Module({ providers: [NotesResolver] })
class NotesModule {}

/** Operations of GraphQL. */
export const graphql: Extra = {
  name: 'GraphQL',
  modules: () => [
    GraphQLModule.forRoot<ApolloDriverConfig>({ driver: ApolloDriver, autoSchemaFile: true, playground: false }),
    { module: NotesModule },
  ],
  check: async (_, url) => {
    const send = async (query: string): Promise<unknown> => {
      const response = await fetch(`${url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query }),
      });
      return response.json();
    };
    expectEqual(await send('mutation { write(text: "mutation") }'), { data: { write: 'operation true' } });
    expectEqual(await send('{ count(text: "mutation") }'), { data: { count: 1 } });
  },
};
