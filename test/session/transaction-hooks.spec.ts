import { setTimeout as delay } from 'node:timers/promises';

import type { EntityManager, EventSubscriber } from '@mikro-orm/postgresql';
import { SessionContext, SessionFactory } from 'nestjs-mikro-session';

import { findTexts } from '../support/find-texts.js';
import { Note } from '../support/note.entity.js';
import { useTestApp } from '../support/use-test-app.js';

describe('a subscriber', () => {
  let factory: SessionFactory<EntityManager>;
  let context: SessionContext<EntityManager>;
  let calls: string[];
  let hooks: Pick<
    EventSubscriber,
    'afterFlush' | 'beforeTransactionCommit' | 'afterTransactionCommit' | 'afterTransactionRollback'
  >;

  const { app, database } = useTestApp();

  beforeAll(() => {
    app.orm.em.getEventManager().registerSubscriber({
      afterFlush: (args) => hooks.afterFlush?.(args),
      beforeTransactionCommit: (args) => hooks.beforeTransactionCommit?.(args),
      afterTransactionCommit: (args) => hooks.afterTransactionCommit?.(args),
      afterTransactionRollback: (args) => hooks.afterTransactionRollback?.(args),
    } as EventSubscriber);
    factory = app.get(SessionFactory);
    context = app.get(SessionContext);
  });

  beforeEach(() => {
    calls = [];
    hooks = {};
  });

  afterEach(() => database.query('delete from note'));

  const texts = (): Promise<string[]> => findTexts(database, 'text');

  const failing = async (): Promise<never> => {
    throw new Error('on purpose');
  };

  /** Registers a callback of each kind. */
  function register(): void {
    context.afterCommit(() => void calls.push('committed'));
    context.afterRollback(() => void calls.push('rolled back'));
  }

  it('to the flush at the end of a transaction reaches that transaction in every way', async () => {
    const counts: number[] = [];
    hooks.afterFlush = async ({ em }) => {
      counts.push(await em.count(Note), await context.current.count(Note), await app.orm.em.count(Note));
    };

    await factory.run((session) =>
      session.transactional(async () => {
        session.create(Note, { text: 'seen' });
      }),
    );

    expect(counts).toEqual([1, 1, 1]);
  });

  describe('to a rollback that takes longer than a connection may take to answer', () => {
    const LONG_MS = 1_000;

    beforeEach(() => {
      hooks.afterTransactionRollback = () => delay(LONG_MS);
    });

    it('leaves the connection alone, which others use by then', async () => {
      const isRolledBack = Promise.withResolvers<void>();
      hooks.afterTransactionRollback = async () => {
        isRolledBack.resolve();
        await delay(LONG_MS);
      };
      const failed = factory.begin(async (session) => {
        await session.insert(Note, { text: 'lost' });
        throw new Error('on purpose');
      });
      failed.catch(() => undefined);
      await isRolledBack.promise;

      await factory.begin(async (session) => {
        await session.insert(Note, { text: 'first' });
        await failed.catch(() => undefined);
        await session.insert(Note, { text: 'second' });
      });

      await expect(failed).rejects.toThrow('on purpose');
      expect(await texts()).toEqual(['first', 'second']);
    });

    it('leaves the outcome alone', async () => {
      await factory.run(async (session) => {
        await session.begin();
        await session.insert(Note, { text: 'lost' });

        await session.rollback();

        expect(session.isInTransaction()).toBe(false);
      });
    });

    it('leaves the transaction around a savepoint alone', async () => {
      await factory.begin(async (session) => {
        await session.insert(Note, { text: 'kept' });
        const part = session.transactional(async (inner) => {
          await inner.insert(Note, { text: 'lost' });
          throw new Error('on purpose');
        });
        await expect(part).rejects.toThrow('on purpose');
      });

      expect(await texts()).toEqual(['kept']);
    });
  });

  it('that writes at the end of a transaction which fails then leaves nothing behind', async () => {
    hooks.afterFlush = () => context.current.insert(Note, { text: 'audit' }).then(() => undefined);
    hooks.beforeTransactionCommit = failing;

    const work = factory.run((session) =>
      session.transactional(async () => {
        session.create(Note, { text: 'main' });
      }),
    );

    await expect(work).rejects.toThrow('on purpose');
    expect(await texts()).toEqual([]);
  });

  describe('that throws after the commit', () => {
    const ways: readonly [string, (session: EntityManager, note: Note) => Promise<unknown>][] = [
      ['of a flush', (session, note) => session.persist(note).flush()],
      ['of transactional()', (session, note) => session.transactional(async () => void session.persist(note))],
      [
        'of begin()',
        async (session, note) => {
          await session.begin();
          await session.persist(note).commit();
        },
      ],
    ];

    it.each(ways)('changes nothing of what was committed, nor of its callbacks: %s', async (_name, write) => {
      const note = Object.assign(new Note(), { text: 'once' });
      hooks.afterTransactionCommit = failing;

      await factory.run(async (session) => {
        register();
        await expect(write(session, note)).rejects.toThrow('on purpose');
        hooks = {};
        await session.persist(note).flush();
      });

      expect(await texts()).toEqual(['once']);
      expect(calls).toEqual(['committed']);
    });

    it('leaves a session that can begin the next transaction', async () => {
      hooks.afterTransactionCommit = failing;

      await factory.run(async (session) => {
        await session.begin();
        await expect(session.commit()).rejects.toThrow('on purpose');
        hooks = {};
        await session.begin();
        session.create(Note, { text: 'next' });
        await session.commit();
      });

      expect(await texts()).toEqual(['next']);
    });
  });

  it('that throws after the rollback leaves its callbacks and the session to the next rollback()', async () => {
    hooks.afterTransactionRollback = failing;
    const note = Object.assign(new Note(), { text: 'once' });

    await factory.run(async (session) => {
      await session.begin();
      register();
      await session.persist(note).flush();
      await expect(session.rollback()).rejects.toThrow('on purpose');
      await session.rollback();
      await session.persist(note).flush();
    });

    expect(await texts()).toEqual(['once']);
    expect(calls).toEqual(['rolled back']);
  });
});
