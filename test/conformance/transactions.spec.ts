import { type EntityManager, TransactionPropagation, UniqueConstraintViolationException } from '@mikro-orm/postgresql';
import {
  ConcurrentSessionUseError,
  SessionContext,
  SessionFactory,
  SessionOwnershipError,
  SessionRegistry,
  SessionStateError,
} from 'nestjs-mikro-session';

import { findTexts } from '../support/find-texts.js';
import { Note } from '../support/note.entity.js';
import { useTestApp } from '../support/use-test-app.js';

describe('the transactions of a session', () => {
  let factory: SessionFactory<EntityManager>;
  let context: SessionContext<EntityManager>;

  const { app, database } = useTestApp();

  beforeAll(() => {
    factory = app.get(SessionFactory);
    context = app.get(SessionContext);
  });

  afterEach(async () => {
    expect(await countOpenTransactions()).toBe(0);
    expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
    await database.query('delete from note');
  });

  const countOpenTransactions = (): Promise<number> => database.countOpenTransactions();

  const texts = (): Promise<string[]> => findTexts(database);

  async function write(session: EntityManager, text: string): Promise<void> {
    session.create(Note, { text });
    await session.flush();
  }

  /** Writes a row whose key is taken, after takeKey(). */
  async function writeTaken(session: EntityManager): Promise<void> {
    session.create(Note, { id: -1, text: 'taken' });
    await session.flush();
  }

  const takeKey = (): Promise<unknown> => database.query(`insert into note (id, text) values (-1, 'first')`);

  // SQLAlchemy test/orm/test_session.py test_autobegin_execute
  it.each<[string, (session: EntityManager) => Promise<void>]>([
    ['commit()', (session) => session.commit()],
    ['rollback()', (session) => session.rollback()],
  ])('is open from begin() until %s, and no statement opens one that outlasts it', async (_name, end) => {
    await factory.run(async (session) => {
      await session.execute('select 1');
      await write(session, 'by itself');
      expect(session.isInTransaction()).toBe(false);
      expect(await texts()).toEqual(['by itself']);

      await session.begin();
      await session.count(Note);
      expect(session.isInTransaction()).toBe(true);
      expect(await countOpenTransactions()).toBe(1);

      await end(session);
      expect(session.isInTransaction()).toBe(false);
      expect(await countOpenTransactions()).toBe(0);
    });
  });

  // SQLAlchemy test/orm/test_session.py test_no_autobegin
  it('must have been begun before it can be committed or rolled back', async () => {
    await factory.run(async (session) => {
      await expect(session.commit()).rejects.toThrow('An open transaction is required');
      await expect(session.rollback()).rejects.toThrow('An open transaction is required');

      await session.begin();
      await session.commit();
      await expect(session.commit()).rejects.toThrow('An open transaction is required');
    });
  });

  // SQLAlchemy test/orm/test_session.py test_autobegin_begin_method
  it('is not begun twice, nor within itself by hand', async () => {
    await factory.run(async (session) => {
      await session.begin();
      const ctx = session.getTransactionContext();

      await expect(session.begin()).rejects.toThrow(SessionStateError);
      await expect(session.begin({ ctx })).rejects.toThrow('which has a transaction open already');

      expect(session.getTransactionContext()).toBe(ctx);
      await write(session, 'kept');
      await session.commit();
    });

    expect(await texts()).toEqual(['kept']);
  });

  // SQLAlchemy test/orm/test_transaction.py test_sessionmaker_begin_context_manager,
  // test/ext/asyncio/test_session.py test_async_sessionmaker_block_two
  it('is committed when the block of the factory returns', async () => {
    const session = await factory.begin((own) => {
      own.create(Note, { text: 'kept' });
      expect(own.isInTransaction()).toBe(true);
      return own;
    });

    expect(await texts()).toEqual(['kept']);
    expect(() => session.isInTransaction()).toThrow('it had returned');
  });

  // SQLAlchemy test/orm/test_transaction.py test_sessionmaker_begin_context_manager_rollback_trans
  it('is rolled back when the block of the factory throws', async () => {
    const failed = factory.begin(async (session) => {
      await write(session, 'lost');
      expect(await session.count(Note)).toBe(1);
      throw new RangeError('no');
    });

    await expect(failed).rejects.toThrow(new RangeError('no'));
    expect(await texts()).toEqual([]);
  });

  // SQLAlchemy test/orm/test_transaction.py test_contextmanager_nested_rollback
  it('goes on after a savepoint that failed, with further savepoints', async () => {
    await takeKey();

    await factory.begin(async (session) => {
      await expect(session.transactional(writeTaken)).rejects.toThrow(UniqueConstraintViolationException);
      await session.transactional((inner) => {
        inner.create(Note, { text: 'second' });
      });
      expect(await session.count(Note)).toBe(2);
    });

    expect(await texts()).toEqual(['first', 'second']);
  });

  // SQLAlchemy test/orm/test_transaction.py test_rollback_is_global
  it('loses everything at rollback(), what was written under an open savepoint too', async () => {
    await factory.run(async (session) => {
      await session.begin();
      await write(session, 'outside');
      const inner = session.fork();
      await inner.begin({ ctx: session.getTransactionContext() });
      await write(inner, 'inside');
      expect(await session.count(Note)).toBe(2);

      await session.rollback();

      expect(session.isInTransaction()).toBe(false);
      expect(await session.count(Note)).toBe(0);
      await write(session, 'later');
    });

    expect(await texts()).toEqual(['later']);
  });

  // SQLAlchemy test/orm/test_transaction.py test_mixed_transaction_close
  it('stores only what was written after the session with an open savepoint was removed', async () => {
    await factory.run(async (session) => {
      await session.begin();
      const inner = session.fork();
      await inner.begin({ ctx: session.getTransactionContext() });
      await write(inner, 'before');

      await context.remove();
      await context.current.begin();
      await write(context.current, 'after');
      await context.current.commit();
    });

    expect(await texts()).toEqual(['after']);
  });

  // SQLAlchemy test/orm/test_transaction.py test_closed_status_check
  it.each<['commit' | 'rollback', RegExp]>([
    ['commit', /already committed/],
    ['rollback', /already rolled back/],
  ])('cannot be ended again after %s()', async (end, complaint) => {
    await factory.run(async (session) => {
      await session.begin();
      const transaction = session.getTransactionContext();
      await session[end]();

      await expect(session.rollback()).rejects.toThrow('An open transaction is required');
      await expect(session.commit()).rejects.toThrow('An open transaction is required');
      const onEnded = session.getConnection().execute('select 1', [], 'all', transaction);
      await expect(onEnded).rejects.toThrow(complaint);
    });
  });

  // SQLAlchemy test/orm/test_transaction.py test_interrupt_ctxmanager_ops
  it.each<['commit' | 'rollback', 'begin' | 'transactional']>([
    ['commit', 'begin'],
    ['rollback', 'begin'],
    ['commit', 'transactional'],
    ['rollback', 'transactional'],
  ])('refuses %s() within a %s() block, whose return or throw alone ends it', async (end, block) => {
    const open = (work: (session: EntityManager) => Promise<void>): Promise<void> =>
      block === 'begin' ? factory.begin(work) : factory.run((session) => session.transactional(work));

    await open(async (session) => {
      await write(session, 'before');
      await expect(session[end]()).rejects.toThrow(SessionStateError);
      expect(await texts()).toEqual([]);
      await write(session, 'after');
      expect(await texts()).toEqual([]);
    });

    expect(await texts()).toEqual(['before', 'after']);
  });

  // SQLAlchemy test/orm/test_transaction.py test_preserve_flush_error
  it('gives the error of a failed flush at each commit(), until rollback() and clear() give it up', async () => {
    await takeKey();

    await factory.run(async (session) => {
      await session.begin();
      await write(session, 'lost with the others');
      const first = await writeTaken(session).catch((error: unknown) => error);

      expect(first).toBeInstanceOf(UniqueConstraintViolationException);
      for (let i = 0; i < 5; i += 1) {
        expect(await session.commit().catch((error: unknown) => error)).toBe(first);
      }

      await session.rollback();
      session.clear();
      await session.begin();
      await write(session, 'later');
      await session.commit();
    });

    expect(await texts()).toEqual(['first', 'later']);
  });

  // SQLAlchemy test/orm/test_transaction.py test_no_sql_during_commit
  it('takes no SQL from a callback that runs after the commit', async () => {
    const refused: unknown[] = [];
    const attempt = (session: EntityManager): Promise<unknown> =>
      session.execute('select 1').catch((error: unknown) => refused.push(error));
    let isListening = true;
    app.orm.em.getEventManager().registerSubscriber({
      afterTransactionCommit: async ({ em }) => {
        if (isListening) {
          await attempt(em as EntityManager);
        }
      },
    });

    await factory.run(async (session) => {
      context.afterCommit(async () => void (await attempt(session)));
      await session.begin();
      await write(session, 'kept');
      await session.commit();
    });
    isListening = false;

    expect(refused).toMatchObject([{ message: 'Transaction is already committed' }, expect.any(SessionOwnershipError)]);
    expect(await texts()).toEqual(['kept']);
  });

  // SQLAlchemy test/orm/test_transaction.py test_continue_flushing_guard
  it('fails when a listener flushes again at each flush, instead of going on for ever', async () => {
    let flushes = 0;
    let isListening = true;
    app.orm.em.getEventManager().registerSubscriber({
      afterFlush: async ({ em }) => {
        if (isListening) {
          flushes += 1;
          em.create(Note, { text: 'one more' });
          await em.flush();
        }
      },
    });

    const failed = await factory.begin((session) => write(session, 'first')).catch((error: unknown) => error);
    isListening = false;

    expect(failed).toBeInstanceOf(ConcurrentSessionUseError);
    expect(flushes).toBe(1);
    expect(await texts()).toEqual([]);
  });

  describe('joined to that of another session', () => {
    // SQLAlchemy test/orm/test_transaction.py test_join_transaction_modes, create_savepoint
    it.each<[string, (session: EntityManager) => unknown, string[], Error | undefined]>([
      ['commit()', (session) => session.commit(), ['outer', 'joined', 'later'], undefined],
      ['rollback()', (session) => session.rollback(), ['outer', 'later'], undefined],
      ['the end of its scope', () => undefined, ['outer', 'later'], undefined],
      [
        'an error of its scope',
        () => {
          throw new Error('no');
        },
        ['outer', 'later'],
        new Error('no'),
      ],
    ])('leaves that one open at %s', async (_name, end, stored, failure) => {
      await using outer = factory.create();
      await outer.begin();
      await write(outer, 'outer');

      const joined = factory.run(async (session) => {
        await session.begin({ ctx: outer.getTransactionContext() });
        await write(session, 'joined');
        await end(session);
      });
      expect(await joined.catch((error: unknown) => error)).toEqual(failure);

      expect(outer.isInTransaction()).toBe(true);
      await write(outer, 'later');
      expect(await texts()).toEqual([]);
      await outer.commit();
      expect(await texts()).toEqual(stored);
    });

    // SQLAlchemy test/orm/test_transaction.py test_join_transaction_modes, default
    it.each([TransactionPropagation.REQUIRED, TransactionPropagation.MANDATORY, TransactionPropagation.SUPPORTS])(
      'keeps that one open when a block with the propagation %p returns, and ends it by its error',
      async (propagation) => {
        await factory.begin(async (outer) => {
          await outer.transactional(
            async (session) => {
              expect(await session.count(Note)).toBe(0);
              await write(session, 'joined');
            },
            { propagation },
          );
          expect(outer.isInTransaction()).toBe(true);
          expect(await texts()).toEqual([]);
        });

        const failed = factory.begin(async (outer) => {
          await write(outer, 'lost');
          await outer.transactional(() => Promise.reject(new Error('no')), { propagation });
        });

        await expect(failed).rejects.toThrow('no');
        expect(await texts()).toEqual(['joined']);
      },
    );

    // SQLAlchemy test/ext/asyncio/test_session.py test_join_to_external_transaction
    it('stores nothing when that one is rolled back after its commit()', async () => {
      await using outer = factory.create();
      await outer.begin();

      await factory.run(async (session) => {
        await session.begin({ ctx: outer.getTransactionContext() });
        await write(session, 'joined');
        await session.commit();
      });
      expect(await outer.execute('select text from note')).toEqual([{ text: 'joined' }]);
      await outer.rollback();

      expect(await texts()).toEqual([]);
    });
  });
});
