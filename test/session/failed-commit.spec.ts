import type { EntityManager } from '@mikro-orm/postgresql';
import { SessionContext, SessionFactory, SessionRegistry, TransactionAbortedError } from 'nestjs-mikro-session';

import { findTexts } from '../support/find-texts.js';
import { Note } from '../support/note.entity.js';
import { useTestApp } from '../support/use-test-app.js';

describe('a commit that failed', () => {
  let factory: SessionFactory<EntityManager>;

  const { app, database } = useTestApp();

  beforeAll(() => {
    factory = app.get(SessionFactory);
  });

  afterEach(() => database.query('delete from note'));

  const texts = (): Promise<string[]> => findTexts(database);

  const failToCommit = async (session: EntityManager): Promise<void> => {
    await session.begin();
    await session.execute('select 1 / 0').catch(() => undefined);
    await expect(session.commit()).rejects.toThrow(TransactionAbortedError);
  };

  it('lets no statement run outside of the transaction that the session still seems to be in', async () => {
    await factory.run(async (session) => {
      await failToCommit(session);

      await expect(session.insert(Note, { text: 'committed by itself' })).rejects.toThrow('already rolled back');
    });

    expect(await texts()).toEqual([]);
  });

  it('gives the connection back', async () => {
    await factory.run(async (session) => {
      await failToCommit(session);

      expect(app.get<SessionRegistry>(SessionRegistry).list()).toMatchObject([{ heldConnections: 0 }]);
    });
  });

  it('fails again until rollback() is called', async () => {
    await factory.run(async (session) => {
      await failToCommit(session);
      await expect(session.commit()).rejects.toThrow(TransactionAbortedError);
      await session.rollback();

      await session.begin();
      session.create(Note, { text: 'kept' });
      await session.commit();
    });

    expect(await texts()).toEqual(['kept']);
  });

  it('runs the callbacks of a rollback', async () => {
    const context = app.get<SessionContext>(SessionContext);
    const calls: string[] = [];

    await factory.run(async (session) => {
      context.afterRollback(() => void calls.push('rollback'));
      context.afterCommit(() => void calls.push('commit'));
      await failToCommit(session);
    });

    expect(calls).toEqual(['rollback']);
  });

  it('is what becomes of a transaction whose failed flush was caught', async () => {
    await factory.run(async (session) => {
      const work = session.transactional(async (transaction) => {
        transaction.create(Note, { text: 'the first half' });
        transaction.persist(new Note());
        await transaction.flush().catch(() => undefined);
      });

      await expect(work).rejects.toThrow('Value for Note.text is required');
    });

    expect(await texts()).toEqual([]);
  });

  it('because no transaction was open leaves the next one alone', async () => {
    const calls: string[] = [];

    await factory.run(async (session) => {
      await session.begin();
      await session.commit();
      const context = app.get<SessionContext>(SessionContext);
      context.afterCommit(() => void calls.push('committed'));
      context.afterRollback(() => void calls.push('rolled back'));
      await expect(session.commit()).rejects.toThrow('transaction');

      await session.begin();
      await session.commit();
    });

    expect(calls).toEqual(['committed']);
  });
});
