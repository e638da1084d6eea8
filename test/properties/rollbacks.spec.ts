import { type AnyEntity, type EntityManager, helper } from '@mikro-orm/postgresql';
import { array, assert, asyncProperty, constantFrom, integer, letrec, oneof, record } from 'fast-check';
import { SessionFactory } from 'nestjs-mikro-session';

import { Genre, Novel, Place, Writer } from '../session/after-rollback.entities.js';
import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const CHANGES = [
  'new writer',
  'new novel',
  'new novel in collection',
  'rename',
  'change json',
  'drop home',
  'move novel',
  'orphan novel',
  'add genre',
  'remove genre',
  'remove novel',
  'flush',
  'upsert',
  'native update',
  'load',
] as const;

type Step =
  | { readonly change: (typeof CHANGES)[number]; readonly pick: number }
  | { readonly block: 'transactional' | 'begin'; readonly isKept: boolean; readonly steps: readonly Step[] };

const { step } = letrec<{ step: Step }>((tie) => ({
  step: oneof(
    { maxDepth: 3 },
    { weight: 5, arbitrary: record({ change: constantFrom(...CHANGES), pick: integer({ min: 0, max: 30 }) }) },
    {
      weight: 2,
      arbitrary: record({
        block: constantFrom('transactional' as const, 'begin' as const),
        isKept: constantFrom(true, false, false),
        steps: array(tie('step'), { maxLength: 8 }),
      }),
    },
  ),
}));

class OnPurpose extends Error {}

describe('a session in any program of changes and transactions', () => {
  let database: TestDatabase;
  let app: TestApp;
  let count = 0;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({ databaseUrl: database.url, orm: { entities: [Note, Writer, Novel, Genre, Place] } });
  });

  afterAll(async () => {
    await app.app.close();
    await database.drop();
  });

  async function fill(): Promise<void> {
    await database.query('truncate writer, novel, genre, novel_genres restart identity');
    await app.get<SessionFactory<EntityManager>>(SessionFactory).begin((session) => {
      const genres = ['poem', 'epic', 'play'].map((name) => session.create(Genre, { name }));
      for (const name of ['Ada', 'Eve']) {
        const writer = session.create(Writer, { name, traits: { of: name }, home: { city: 'Rome' } });
        session.create(Novel, { title: `One by ${name}`, writer, genres: [genres[0]!] });
        session.create(Novel, { title: `Two by ${name}`, writer, genres: [genres[1]!] });
      }
    });
  }

  const managed = <Entity extends AnyEntity>(em: EntityManager, type: new () => Entity): Entity[] =>
    em
      .getUnitOfWork()
      .getIdentityMap()
      .values()
      .filter((entity): entity is Entity => entity instanceof type)
      .toSorted((one, other) => Number(helper(one).getPrimaryKey()) - Number(helper(other).getPrimaryKey()));

  /** What a session takes for rows is what its own transaction, or the database, has. */
  async function expectTruth(em: EntityManager): Promise<void> {
    const read = (sql: string): Promise<Record<string, unknown>[]> =>
      em.getConnection().execute(sql, [], 'all', em.getTransactionContext());
    const byId = (rows: Record<string, unknown>[]): Map<unknown, Record<string, unknown>> =>
      new Map(rows.map((row) => [row['id'], row]));
    const writers = byId(await read('select id, name, traits, version, home_city as home from writer'));
    const novels = byId(await read('select id, title, writer_id as writer from novel'));
    const pivots = await read('select novel_id, genre_id from novel_genres');
    for (const writer of managed(em, Writer)) {
      const row = helper(writer).__originalEntityData as Record<string, unknown> | undefined;
      if (row !== undefined && 'name' in row) {
        const traits: unknown = typeof row['traits'] === 'string' ? JSON.parse(row['traits']) : row['traits'];
        const seen = { id: row['id'], name: row['name'], traits: traits ?? null, version: writer.version };
        expect({ ...seen, home: row['home_city'] ?? null }).toEqual(writers.get(writer.id));
      }
    }
    for (const novel of managed(em, Novel)) {
      const row = helper(novel).__originalEntityData as Record<string, unknown> | undefined;
      if (row !== undefined && 'title' in row) {
        const seen = { id: row['id'], title: row['title'], writer: row['writer'] ?? null };
        expect(seen).toEqual(novels.get(novel.id));
        const ids = (novel.genres.getSnapshot() ?? []).map(({ id }) => id).toSorted();
        const kept = pivots.filter(({ novel_id: id }) => id === novel.id).map(({ genre_id: id }) => Number(id));
        expect(ids).toEqual(kept.toSorted());
      }
    }
  }

  async function change(em: EntityManager, what: (typeof CHANGES)[number], pick: number): Promise<void> {
    count += 1;
    const writers = managed(em, Writer).filter((writer) => writer.name !== undefined);
    const novels = managed(em, Novel).filter((novel) => novel.title !== undefined);
    const genres = managed(em, Genre);
    const one = <Item>(items: readonly Item[]): Item | undefined => items[pick % Math.max(items.length, 1)];
    const writer = one(writers);
    const novel = one(novels);
    const genre = one(genres);
    switch (what) {
      case 'new writer':
        em.create(Writer, { name: `New ${count}`, traits: { count } });
        return;
      case 'new novel':
        em.create(Novel, { title: `New ${count}`, writer: writer ?? null, genres: genre ? [genre] : [] });
        return;
      case 'new novel in collection':
        writer?.novels.add(em.create(Novel, { title: `Added ${count}` }));
        return;
      case 'rename':
        if (writer !== undefined) {
          writer.name = `Renamed ${count}`;
        }
        return;
      case 'change json':
        if (writer?.traits) {
          writer.traits['count'] = count;
        }
        return;
      case 'drop home':
        if (writer !== undefined) {
          writer.home = null;
        }
        return;
      case 'move novel':
        if (novel !== undefined && writer !== undefined) {
          novel.writer = writer;
        }
        return;
      case 'orphan novel':
        if (novel !== undefined) {
          novel.writer = null;
        }
        return;
      case 'add genre':
        if (novel !== undefined && genre !== undefined && novel.genres.isInitialized()) {
          novel.genres.add(genre);
        }
        return;
      case 'remove genre':
        if (novel?.genres.isInitialized() === true && novel.genres.length > 0) {
          novel.genres.remove(novel.genres[0]!);
        }
        return;
      case 'remove novel':
        if (novel !== undefined) {
          em.remove(novel);
        }
        return;
      case 'flush':
        await em.flush();
        return;
      case 'upsert':
        await em.upsert(Writer, { id: 1000 + pick, name: `Upserted ${pick}`, traits: { count } });
        return;
      case 'native update':
        await em.flush();
        await em.nativeUpdate(Writer, { id: 1 }, { name: `Native ${count}`, version: 50 + count });
        await em.find(Writer, { id: 1 }, { refresh: true });
        return;
      case 'load':
        await em.find(Writer, {}, { populate: ['novels.genres'] });
    }
  }

  async function run(em: EntityManager, steps: readonly Step[]): Promise<void> {
    for (const one of steps) {
      if ('change' in one) {
        await change(em, one.change, one.pick);
      } else {
        await runBlock(em, one);
        if (!one.isKept) {
          await expectTruth(em);
        }
      }
    }
  }

  async function runBlock(
    em: EntityManager,
    { block, isKept, steps }: { block: string; isKept: boolean; steps: readonly Step[] },
  ): Promise<void> {
    if (block === 'begin' && !em.isInTransaction()) {
      await em.begin();
      await run(em, steps);
      await (isKept ? em.commit() : em.rollback());
      return;
    }
    const ended = em.transactional(async (inner) => {
      await run(inner, steps);
      if (!isKept) {
        throw new OnPurpose();
      }
    });
    await (isKept ? ended : expect(ended).rejects.toThrow(OnPurpose));
  }

  it('takes for rows what is in the database after every rollback, and writes all of the rest', async () => {
    await assert(
      asyncProperty(array(step, { minLength: 1, maxLength: 10 }), async (steps) => {
        await fill();
        await app.get<SessionFactory<EntityManager>>(SessionFactory).run(async (session) => {
          await session.find(Writer, {}, { populate: ['novels.genres'] });
          await run(session, steps);
          await session.flush();
          await expectTruth(session);
        });
      }),
      { numRuns: 100 },
    );
  });
});
