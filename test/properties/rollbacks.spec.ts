import { inspect, isDeepStrictEqual } from 'node:util';

import { type AnyEntity, type EntityManager, helper } from '@mikro-orm/postgresql';
import { array, asyncProperty, check, constantFrom, integer, letrec, oneof, record } from 'fast-check';
import { SessionFactory } from 'nestjs-mikro-session';

import { Genre, Novel, Place, Writer } from '../session/after-rollback.entities.js';
import { Note } from '../support/note.entity.js';
import { useTestApp } from '../support/use-test-app.js';

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

interface Block {
  readonly block: 'transactional' | 'begin';
  readonly isKept: boolean;
  readonly steps: readonly Step[];
}

type Step = Block | { readonly change: (typeof CHANGES)[number]; readonly pick: number };

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

type Row = Record<string, unknown>;

const parsed = (json: unknown): unknown => (typeof json === 'string' ? JSON.parse(json) : (json ?? null));

describe('a session in any program of changes and transactions', () => {
  let count = 0;
  /** Whether the program gives keys to some writers, and so to all. */
  let hasGivenKeys = false;

  const { app, database } = useTestApp({ orm: { entities: [Note, Writer, Novel, Genre, Place] } });

  async function fill(): Promise<void> {
    await database.empty('novel_genres', 'novel', 'writer', 'genre');
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

  /** What a session takes for rows, where its own transaction, or the database, has others. */
  async function findLies(em: EntityManager): Promise<unknown[]> {
    const read = (sql: string): Promise<Row[]> =>
      em.getConnection().execute(sql, [], 'all', em.getTransactionContext());
    const writers = (await read('select id, name, traits, version, home_city as home from writer')).map((row): Row => ({
      ...row,
      traits: parsed(row['traits']),
    }));
    const links = await read('select novel_id, genre_id from novel_genres order by genre_id');
    const novels = (await read('select id, title, writer_id as writer from novel')).map((row): Row => {
      const genres = links.filter((link) => link['novel_id'] === row['id']).map((link) => link['genre_id']);
      return { ...row, genres: genres.length > 0 ? genres : null };
    });
    const claims = [
      ...rowsOf(em, Writer, 'name').map(([writer, row]) => {
        const { id, name, traits, home_city: home } = row;
        const seen = { id, name, traits: parsed(traits) };
        return { seen: { ...seen, version: writer.version, home: home ?? null }, rows: writers };
      }),
      ...rowsOf(em, Novel, 'title').map(([novel, { id, title, writer }]) => {
        const genres = (novel.genres.getSnapshot() ?? []).map((genre) => genre.id).toSorted((one, two) => one - two);
        return { seen: { id, title, writer: writer ?? null, genres: genres.length > 0 ? genres : null }, rows: novels };
      }),
    ];
    return claims
      .map(({ seen, rows }) => ({ seen, row: rows.find(({ id }) => id === seen.id) }))
      .filter(({ seen, row }) => !isDeepStrictEqual(seen, { ...row }));
  }

  /** The loaded entities of a class that an EntityManager takes for rows, with the rows. */
  function rowsOf<Entity extends AnyEntity>(
    em: EntityManager,
    type: new () => Entity,
    loaded: string,
  ): [Entity, Row][] {
    return managed(em, type).flatMap((entity): [Entity, Row][] => {
      const row = helper(entity).__originalEntityData as Row | undefined;
      return row !== undefined && loaded in row ? [[entity, row]] : [];
    });
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
        // MikroORM inserts entities with and without a key in one statement, and does not learn the keys of the latter.
        em.create(Writer, { ...(hasGivenKeys ? { id: 2000 + count } : {}), name: `New ${count}`, traits: { count } });
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

  /** Runs steps, and gives what was wrong after a rollback. */
  async function run(em: EntityManager, steps: readonly Step[]): Promise<unknown[]> {
    const lies: unknown[] = [];
    for (const one of steps) {
      if ('change' in one) {
        await change(em, one.change, one.pick);
      } else {
        lies.push(...(await runBlock(em, one)), ...(one.isKept ? [] : await findLies(em)));
      }
    }
    return lies;
  }

  async function runBlock(em: EntityManager, { block, isKept, steps }: Block): Promise<unknown[]> {
    if (block === 'begin' && !em.isInTransaction()) {
      await em.begin();
      const lies = await run(em, steps);
      await (isKept ? em.commit() : em.rollback());
      return lies;
    }
    let lies: unknown[] = [];
    const ended = em.transactional(async (inner) => {
      lies = await run(inner, steps);
      if (!isKept) {
        throw new OnPurpose();
      }
    });
    await ended.catch((error: unknown) => {
      if (!(error instanceof OnPurpose)) {
        throw error;
      }
    });
    return lies;
  }

  it('takes for rows what is in the database after every rollback, and writes all of the rest', async () => {
    const property = asyncProperty(array(step, { minLength: 1, maxLength: 10 }), async (steps) => {
      await fill();
      hasGivenKeys = JSON.stringify(steps).includes('upsert');
      await app.get<SessionFactory<EntityManager>>(SessionFactory).run(async (session) => {
        await session.find(Writer, {}, { populate: ['novels.genres'] });
        const lies = await run(session, steps);
        await session.flush();
        lies.push(...(await findLies(session)));
        if (lies.length > 0) {
          throw new Error(inspect(lies, { depth: 5 }));
        }
      });
    });

    const { counterexample, errorInstance } = await check(property, { numRuns: 100 });

    expect({ counterexample, errorInstance }).toEqual({ counterexample: null, errorInstance: null });
  }, 120_000);
});
