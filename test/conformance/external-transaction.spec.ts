import type { EntityManager } from '@mikro-orm/postgresql';
import { SessionFactory, SessionRegistry, SessionStateError } from 'nestjs-mikro-session';

import { findTexts } from '../support/find-texts.js';
import { Note } from '../support/note.entity.js';
import { useTestApp } from '../support/use-test-app.js';

describe('a transaction that somebody else ends', () => {
  let factory: SessionFactory<EntityManager>;
  let registry: SessionRegistry;

  const { app, database } = useTestApp();

  beforeAll(() => {
    factory = app.get(SessionFactory);
    registry = app.get(SessionRegistry);
  });

  afterEach(async () => {
    expect(registry.list()).toEqual([]);
    await database.query('delete from note');
  });

  const texts = (): Promise<string[]> => findTexts(database);

  // zope.sqlalchemy tests.py testTransactionJoining
  it('is listed with the scope of the session that writes in it, from its begin to its end', async () => {
    const held = (): number[] => registry.list().map(({ heldConnections }) => heldConnections);
    const during: number[][] = [];

    await factory.run(async (session) => {
      during.push(held());
      await session.transactional(async (inner) => {
        inner.create(Note, { text: 'kept' });
        await inner.flush();
        during.push(held());
        await inner.transactional(() => void during.push(held()));
      });
      during.push(held());
    });

    expect(during).toEqual([[0], [1], [1], [0]]);
    expect(held()).toEqual([]);
    expect(await texts()).toEqual(['kept']);
  });

  // zope.sqlalchemy tests.py testSessionCommitDisallowed, testSessionSavepointCommitAllowed
  it('is not committed by the session, which may commit savepoints in it', async () => {
    await factory.begin(async (session) => {
      session.create(Note, { text: 'outside' });
      await expect(session.commit()).rejects.toThrow(SessionStateError);

      await session.transactional((inner) => {
        inner.create(Note, { text: 'inside' });
      });
      const lost = session.transactional(async (inner) => {
        inner.create(Note, { text: 'lost' });
        await inner.flush();
        throw new Error('no');
      });
      await expect(lost).rejects.toThrow('no');

      expect(session.isInTransaction()).toBe(true);
      expect(await texts()).toEqual([]);
    });

    expect((await texts()).toSorted()).toEqual(['inside', 'outside']);
  });
});
