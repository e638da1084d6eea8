import { type EntityManager, helper, PopulateHint } from '@mikro-orm/postgresql';
import { SessionFactory } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { useTestApp } from '../support/use-test-app.js';
import { Genre, Novel, Place, Writer } from './after-rollback.entities.js';

class OnPurpose extends Error {}

/** The ways in which a transaction, or a savepoint, is rolled back while its session goes on. */
const ways = {
  'rollback()': async (session: EntityManager, work: (em: EntityManager) => Promise<void>) => {
    await session.begin();
    await work(session);
    await session.rollback();
  },
  'transactional() that throws': async (session: EntityManager, work: (em: EntityManager) => Promise<void>) => {
    await expect(
      session.transactional(async (em) => {
        await work(em);
        throw new OnPurpose();
      }),
    ).rejects.toThrow(OnPurpose);
  },
  'a savepoint that throws': async (session: EntityManager, work: (em: EntityManager) => Promise<void>) => {
    await session.transactional(async (outer) => {
      await expect(
        outer.transactional(async (em) => {
          await work(em);
          throw new OnPurpose();
        }),
      ).rejects.toThrow(OnPurpose);
    });
  },
  'a released savepoint in a transaction that throws': async (
    session: EntityManager,
    work: (em: EntityManager) => Promise<void>,
  ) => {
    await expect(
      session.transactional(async (outer) => {
        await outer.transactional((em) => work(em));
        throw new OnPurpose();
      }),
    ).rejects.toThrow(OnPurpose);
  },
};

describe.each(Object.entries(ways))('after %s, a session', (_name, rollBackAfter) => {
  let factory: SessionFactory<EntityManager>;

  const { app, database } = useTestApp({ orm: { entities: [Note, Writer, Novel, Genre, Place] } });

  beforeAll(() => {
    factory = app.get(SessionFactory);
  });

  beforeEach(async () => {
    await database.query('truncate writer, novel, genre, novel_genres restart identity');
    await factory.begin((session) => {
      const ada = session.create(Writer, {
        name: 'Ada',
        traits: { mood: 'good' },
        born: new Date('1815-12-10'),
        story: 'long',
        home: { city: 'London', street: 'Row' },
      });
      const [poem, epic] = ['poem', 'epic'].map((name) => session.create(Genre, { name }));
      session.create(Novel, { title: 'One', writer: ada, genres: [poem!] });
      session.create(Novel, { title: 'Two', writer: ada, genres: [epic!] });
    });
  });

  const run = (work: (session: EntityManager) => Promise<void>): Promise<void> => factory.run(work);

  const names = async (): Promise<string[]> =>
    (await database.query<{ name: string }>('select name from writer order by id')).map(({ name }) => name);

  /** What a second session reads is what the first one takes for the rows, and nothing waits to be flushed. */
  async function expectTruth(session: EntityManager): Promise<void> {
    const unitOfWork = session.getUnitOfWork();
    unitOfWork.computeChangeSets();
    expect(unitOfWork.getChangeSets().map(({ entity, payload }) => [entity, payload])).toEqual([]);
    expect(unitOfWork.getCollectionUpdates()).toEqual([]);
    await factory.run(async (other) => {
      for (const entity of unitOfWork.getIdentityMap()) {
        const row = await other.findOneOrFail(
          entity.constructor as typeof Writer,
          helper(entity).getPrimaryKey() as never,
        );
        const [here, there] = [session, other].map((em, place) =>
          em.getComparator().prepareEntity(place === 0 ? entity : row),
        );
        expect(here).toEqual(there);
        expect(helper(entity).__originalEntityData).toEqual(expect.objectContaining(here!));
      }
    });
  }

  it('holds the values of the row that was updated', async () => {
    await run(async (session) => {
      const ada = await session.findOneOrFail(Writer, { name: 'Ada' });

      await rollBackAfter(session, async (em) => {
        ada.name = 'Eve';
        ada.traits = { mood: 'bad' };
        ada.born = null;
        ada.home!.street = null;
        await em.flush();
        expect(ada.version).toBe(2);
      });

      expect(ada).toMatchObject({
        name: 'Ada',
        traits: { mood: 'good' },
        born: new Date('1815-12-10'),
        version: 1,
        home: { city: 'London', street: 'Row' },
      });
      await expectTruth(session);
      ada.name = 'Eve';
      await session.flush();
    });

    expect(await names()).toEqual(['Eve']);
  });

  it('holds the values of the row that was changed and never flushed', async () => {
    await run(async (session) => {
      const ada = await session.findOneOrFail(Writer, { name: 'Ada' });

      await rollBackAfter(session, async (em) => {
        if (em === session) {
          ada.name = 'Eve';
          ada.traits!['mood'] = 'bad';
          ada.home = null;
          return;
        }
        ada.home = null;
        await em.flush();
      });

      expect(ada).toMatchObject({ name: 'Ada', traits: { mood: 'good' }, home: { city: 'London', street: 'Row' } });
      await expectTruth(session);
    });
  });

  it('keeps what was changed before, to flush it', async () => {
    await run(async (session) => {
      const ada = await session.findOneOrFail(Writer, { name: 'Ada' });
      ada.name = 'Adele';

      await rollBackAfter(session, async (em) => {
        ada.traits = null;
        await em.flush();
      });

      expect(ada).toMatchObject({ name: 'Adele', traits: { mood: 'good' } });
      await session.flush();
    });

    expect(await names()).toEqual(['Adele']);
  });

  it('knows nothing of an entity that was created, flushed or not', async () => {
    await run(async (session) => {
      const ada = await session.findOneOrFail(Writer, { name: 'Ada' }, { populate: ['novels'] });

      await rollBackAfter(session, async (em) => {
        em.create(Writer, { name: 'Flushed' });
        em.create(Novel, { title: 'Three', writer: ada });
        await em.flush();
        em.create(Writer, { name: 'Unflushed' });
        ada.novels.add(em.create(Novel, { title: 'Four' }));
      });

      expect(ada.novels.getItems().map(({ title }) => title)).toEqual(['One', 'Two']);
      await expectTruth(session);
      await session.flush();
    });

    expect(await names()).toEqual(['Ada']);
    expect(await database.query('select 1 from novel')).toHaveLength(2);
  });

  it('keeps an entity that was persisted before, to flush it', async () => {
    await run(async (session) => {
      const eve = session.create(Writer, { name: 'Eve' });

      await rollBackAfter(session, (em) => em.flush());

      // The savepoint stands in a transaction that flushes it.
      expect([undefined, 3]).toContain(eve.id);
      await session.flush();
      expect(eve.id).toBeGreaterThan(1);
    });

    expect(await names()).toEqual(['Ada', 'Eve']);
  });

  it('writes the row of an upsert again, and finds no ghost of it', async () => {
    await run(async (session) => {
      let eve: Writer | undefined;
      await rollBackAfter(session, async (em) => {
        eve = await em.upsert(Writer, { id: 50, name: 'Eve' });
        await em.upsertMany(Writer, [{ id: 51, name: 'Una' }]);
      });

      expect(await session.findOne(Writer, 50)).toBeNull();
      expect(await session.findOne(Writer, 51)).toBeNull();
      session.persist(eve!);
      await session.flush();
    });

    expect(await names()).toEqual(['Ada', 'Eve']);
  });

  it('holds the row that an upsert had changed', async () => {
    await run(async (session) => {
      const ada = await session.findOneOrFail(Writer, { name: 'Ada' });

      await rollBackAfter(session, async (em) => {
        await em.upsert(Writer, { name: 'Ada', traits: { mood: 'odd' } }, { onConflictFields: ['name'] });
      });

      expect(ada.traits).toEqual({ mood: 'good' });
      await expectTruth(session);
    });
  });

  it('inserts an entity whose insert() is gone', async () => {
    await run(async (session) => {
      const eve = Object.assign(new Writer(), { name: 'Eve', id: 70 });

      await rollBackAfter(session, async (em) => {
        await em.insert(eve);
      });

      session.persist(eve);
      await session.flush();
    });

    expect(await names()).toEqual(['Ada', 'Eve']);
  });

  it('has the entity back that was removed, flushed or not', async () => {
    await run(async (session) => {
      const [one, two] = await session.findAll(Novel, { orderBy: { id: 'asc' }, populate: ['writer.novels'] });
      const { writer } = one!;

      await rollBackAfter(session, async (em) => {
        em.remove(one!);
        await em.flush();
        em.remove(two!);
      });

      expect(await session.findOne(Novel, one!.id)).toBe(one);
      expect(one!.writer).toBe(writer);
      expect(writer!.novels.getItems()).toEqual([one, two]);
      await expectTruth(session);
      await session.flush();
      expect(await database.query('select 1 from novel')).toHaveLength(2);
      session.remove(one!);
      await session.flush();
    });

    expect(await database.query<{ title: string }>('select title from novel')).toEqual([{ title: 'Two' }]);
  });

  it('holds the relations of the rows', async () => {
    await run(async (session) => {
      const [one, two] = await session.findAll(Novel, { orderBy: { id: 'asc' }, populate: ['genres', 'writer'] });
      const { writer } = one!;

      await rollBackAfter(session, async (em) => {
        one!.genres.set(two!.genres.getItems());
        one!.writer = em.create(Writer, { name: 'Eve' });
        two!.writer = null;
        await em.flush();
        one!.genres.removeAll();
      });

      expect([one!.writer, two!.writer]).toEqual([writer, writer]);
      expect(one!.genres.getItems().map(({ name }) => name)).toEqual(['poem']);
      await expectTruth(session);
      one!.genres.add(two!.genres.getItems()[0]!);
      await session.flush();
    });

    expect(await database.query('select 1 from novel_genres')).toHaveLength(3);
    expect(await names()).toEqual(['Ada']);
  });

  it('does not hold what a statement of its own had written', async () => {
    await run(async (session) => {
      const before = await session.findOneOrFail(Writer, { name: 'Ada' });
      await rollBackAfter(session, async (em) => {
        await em.nativeUpdate(Writer, { name: 'Ada' }, { name: 'Eve' });
        await em.refresh(before);
        await em.nativeUpdate(Novel, { title: 'One' }, { title: 'Uno' });
        await em.findOneOrFail(Novel, { title: 'Uno' });
      });

      expect((await session.findOneOrFail(Writer, before.id)).name).toBe('Ada');
      expect((await session.findOneOrFail(Novel, { title: 'One' })).title).toBe('One');
    });
  });

  it('forgets a lazy property that was not loaded before', async () => {
    await run(async (session) => {
      const ada = await session.findOneOrFail(Writer, { name: 'Ada' });

      await rollBackAfter(session, async (em) => {
        ada.story = 'short';
        await em.flush();
      });

      await expectTruth(session);
      await session.populate(ada, ['story'], { populateWhere: PopulateHint.ALL });
      expect(ada.story).toBe('long');
    });
  });
});
