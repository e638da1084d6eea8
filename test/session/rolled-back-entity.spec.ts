import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService, SessionFactory } from 'nestjs-mikro-session';

import { findTexts } from '../support/find-texts.js';
import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

describe('a new entity whose transaction was rolled back', () => {
  let database: TestDatabase;
  let app: TestApp;
  let factory: SessionFactory<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({ databaseUrl: database.url });
    factory = app.get(SessionFactory);
  });

  afterEach(() => database.query('delete from note'));

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  const texts = (): Promise<string[]> => findTexts(database);

  const newNote = (): Note => Object.assign(new Note(), { text: 'once' });

  const insertAndFail = async (session: EntityManager, note: Note): Promise<never> => {
    await session.persist(note).flush();
    throw new Error('on purpose');
  };

  it('is inserted when it is persisted again in a new session', async () => {
    const note = newNote();
    await expect(factory.begin((session) => insertAndFail(session, note))).rejects.toThrow('on purpose');

    await factory.begin((session) => {
      session.persist(note);
    });

    expect(await texts()).toEqual(['once']);
  });

  it('is inserted when it is persisted again in the same session', async () => {
    await factory.run(async (session) => {
      const note = newNote();
      await expect(session.transactional(() => insertAndFail(session, note))).rejects.toThrow('on purpose');

      await session.persist(note).flush();
    });

    expect(await texts()).toEqual(['once']);
  });

  it('is inserted when it is persisted again after rollback()', async () => {
    await factory.run(async (session) => {
      const note = newNote();
      await session.begin();
      await session.persist(note).flush();
      await session.rollback();

      await session.persist(note).flush();
    });

    expect(await texts()).toEqual(['once']);
  });

  it('is inserted by the next job that persists it', async () => {
    const note = newNote();

    const outcomes = await app
      .get<JobService<EntityManager>>(JobService)
      .settle(
        [insertAndFail, async (session: EntityManager) => session.persist(note).flush()],
        (session, work) => work(session, note),
        { concurrency: 1 },
      );

    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    expect(await texts()).toEqual(['once']);
  });

  it('still waits for a flush when it was persisted before the transaction began', async () => {
    await factory.begin(async (session) => {
      session.persist(newNote());
      const work = session.transactional(async (transaction) => {
        await transaction.flush();
        throw new Error('on purpose');
      });

      await expect(work).rejects.toThrow('on purpose');
    });

    expect(await texts()).toEqual(['once']);
  });

  it('stays gone when nobody persists it again', async () => {
    await factory.run(async (session) => {
      await session.begin();
      await session.persist(newNote()).flush();
      await session.rollback();

      await session.flush();
    });

    expect(await texts()).toEqual([]);
  });
});

describe('a new entity that was inserted without a transaction', () => {
  let database: TestDatabase;
  let app: TestApp;
  let factory: SessionFactory<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({ databaseUrl: database.url, orm: { implicitTransactions: false } });
    factory = app.get(SessionFactory);
  });

  afterEach(() => database.query('delete from note'));

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  it('is not inserted again after the rollback of a later transaction', async () => {
    await factory.run(async (session) => {
      const note = Object.assign(new Note(), { text: 'once' });
      await session.persist(note).flush();
      await session.begin();
      await session.rollback();

      await session.persist(note).flush();
    });

    expect(await database.query('select text from note')).toEqual([{ text: 'once' }]);
  });
});
