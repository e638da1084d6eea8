import { MikroOrmModule } from '@mikro-orm/nestjs';

import { Note } from '../support/note.entity.js';
import { injections } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { type GraphqlApp, startGraphqlApp } from './graphql-app.js';
import { NoteLoader } from './note-loader.js';
import { NotesResolver, NotesService, Sightings, WatchedNoteLoader } from './notes.resolver.js';

const places = [
  { driver: 'apollo', platform: 'express' },
  { driver: 'apollo', platform: 'fastify' },
  { driver: 'mercurius', platform: 'fastify' },
] as const;

describe.each(places)('a GraphQL operation with $driver over $platform', ({ driver, platform }) => {
  describe.each(injections)('and %s injection', (injection) => {
    let database: TestDatabase;
    let app: GraphqlApp;
    let sightings: Sightings;

    beforeAll(async () => {
      database = await createTestDatabase();
      app = await startGraphqlApp({
        databaseUrl: database.url,
        driver,
        platform,
        session: { injection },
        imports: [MikroOrmModule.forFeature([Note])],
        providers: [Sightings, NotesService, { provide: NoteLoader, useClass: WatchedNoteLoader }, NotesResolver],
      });
      sightings = app.get(Sightings);
    });

    beforeEach(async () => {
      await database.query('delete from note');
      await database.query(`insert into note (text) select 'note ' || i from generate_series(1, 9) i`);
      sightings.take();
    });

    afterAll(async () => {
      await app.close();
      await database.drop();
    });

    it('has one session for its resolvers, field resolvers, dataloaders, guards and interceptors', async () => {
      const { data, errors } = await app.send<{ notes: { text: string; length: number; loaded: string }[] }>(
        `query { notes { text length loaded again { length again { loaded } } } }`,
      );

      expect(errors).toBeUndefined();
      expect(data.notes).toHaveLength(9);
      expect(data.notes[0]).toEqual({
        text: 'note 1',
        length: 6,
        loaded: 'the same entity',
        again: { length: 6, again: { loaded: 'the same entity' } },
      });
      const seen = sightings.take();
      expect(Object.keys(seen).toSorted()).toEqual(
        [
          'guard of notes',
          'guard of length',
          'interceptor before',
          'interceptor after',
          'query',
          'field',
          'dataloader',
          'loaded',
        ].toSorted(),
      );
      expect(seen['dataloader']).toHaveLength(1);
      expect(new Set(Object.values(seen).flat()).size).toBe(1);
    });

    it('has a session that no other operation of the same HTTP request has', async () => {
      const answers = await app.sendBatch<{ sessionId: number; notes: { length: number }[] }>([
        'query A { sessionId notes { length loaded } }',
        'query B { sessionId notes { length loaded } }',
        'mutation C { add(text: "c") }',
        'query A { sessionId notes { length loaded } }',
      ]);

      expect(answers.flatMap(({ errors = [] }) => errors)).toEqual([]);
      expect(new Set(answers.map(({ data }) => Object.values(data)[0])).size).toBe(4);
      const seen = sightings.take();
      expect(seen['dataloader']).toHaveLength(3);
      expect(new Set(Object.values(seen).flat()).size).toBe(3);
    });

    it('has a session that no operation of another HTTP request has', async () => {
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => app.send<{ sessionId: number }>('query Same { sessionId notes { length } }')),
      );

      expect(new Set(answers.map(({ data }) => data.sessionId)).size).toBe(20);
      expect(new Set(Object.values(sightings.take()).flat()).size).toBe(20);
    });

    it('has one session for all of its mutations', async () => {
      const { data } = await app.send<Record<string, number>>(
        'mutation { first: persist(text: "first") second: add(text: "second") third: add(text: "third") }',
      );

      expect(new Set(Object.values(data)).size).toBe(1);
      expect(await database.query(`select text from note where text not like 'note %' order by id`)).toEqual([
        { text: 'first' },
        { text: 'second' },
        { text: 'third' },
      ]);
    });

    it.each([
      ['query GetLabel { label }', 'operation: query GetLabel'],
      ['{ label }', 'operation: query'],
      ['query A { sessionId } query B { label }', 'operation: query B'],
    ])('is named after its type and name: %s', async (query, label) => {
      const { data } = await app.send<{ label: string }>(query, query.includes('B') ? 'B' : undefined);

      expect(data.label).toBe(label);
    });
  });
});
