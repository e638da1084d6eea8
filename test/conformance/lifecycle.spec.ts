import { MikroOrmModule } from '@mikro-orm/nestjs';
import type { EntityManager } from '@mikro-orm/postgresql';
import {
  getSessionContextToken,
  SessionClosedError,
  SessionContext,
  SessionFactory,
  SessionModule,
  SessionRegistry,
} from 'nestjs-mikro-session';

import { loadDriver } from '../support/load-driver.js';
import { Note } from '../support/note.entity.js';
import { ormOptions, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { findMethodsThatAnswer, METHODS_WITHOUT_SESSION } from './methods-that-answer.js';

describe('the life of a session', () => {
  let database: TestDatabase;
  let app: TestApp;
  let factory: SessionFactory<EntityManager>;
  let context: SessionContext<EntityManager>;
  let reports: SessionContext<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    const { driver } = await loadDriver(database.url);
    app = await startTestApp({
      databaseUrl: database.url,
      session: { unflushed: 'ignore' },
      imports: [
        MikroOrmModule.forRoot({ ...ormOptions(database.url, { driver }), contextName: 'reports' }),
        SessionModule.forRoot({ contextName: 'reports', unflushed: 'ignore' }),
      ],
    });
    factory = app.get(SessionFactory);
    context = app.get(SessionContext);
    reports = app.get(getSessionContextToken('reports'));
  });

  afterEach(async () => {
    expect(await countOpenTransactions()).toBe(0);
    expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
    await database.query('delete from note');
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  const countOpenTransactions = (): Promise<number> => database.countOpenTransactions();

  const countNotes = async (): Promise<number> =>
    Number((await database.query<{ n: unknown }>('select count(*) as n from note'))[0]!.n);

  const managed = (session: EntityManager): object[] => session.getUnitOfWork(false).getIdentityMap().values();
  const pending = (session: EntityManager): object[] => [...session.getUnitOfWork(false).getPersistStack()];

  // SQLAlchemy test/orm/test_session.py test_session_close_resets_only, default close
  it('forgets all entities at remove(), after which its scope can be used on', async () => {
    await factory.run(async (session) => {
      session.create(Note, { text: 'stored' });
      await session.flush();
      session.create(Note, { text: 'pending' });

      await context.remove();
      context.current.create(Note, { text: 'later' });
      await context.current.flush();

      expect(managed(session)).toEqual([]);
      expect(pending(session)).toEqual([]);
      expect(await database.query('select text from note order by id')).toEqual([
        { text: 'stored' },
        { text: 'later' },
      ]);
    });
  });

  // SQLAlchemy test/orm/test_session.py test_session_close_resets_only, close_resets_only=False
  it('takes no entity after close(), but does after clear()', async () => {
    await using cleared = factory.create();
    const closed = factory.create();
    for (const session of [cleared, closed]) {
      session.create(Note, { text: 'before' });
    }

    cleared.clear();
    await closed.close();

    expect(pending(cleared)).toEqual([]);
    expect(pending(closed)).toEqual([]);
    const [one, two] = [new Note(), new Note()];
    expect(() => closed.persist(one)).toThrow(SessionClosedError);
    expect(pending(closed)).toEqual([]);
    cleared.persist(two);
    expect(pending(cleared)).toEqual([two]);
  });

  // SQLAlchemy test/orm/test_session.py test_close_all_sessions, test/ext/asyncio/test_session.py test_close_all
  it('is emptied together with the sessions of the other connections at the end of their scope', async () => {
    await database.query(`insert into note (text) values ('one')`);

    const sessions = await factory.run(async () => {
      const both = [context.current, reports.current];
      for (const session of both) {
        await session.find(Note, {});
        session.create(Note, { text: 'pending' });
      }
      expect(both.map((session) => managed(session).length)).toEqual([1, 1]);
      return both;
    });

    expect(sessions.flatMap(managed)).toEqual([]);
    expect(sessions.flatMap(pending)).toEqual([]);
    for (const session of sessions) {
      expect(() => session.clear()).toThrow(SessionClosedError);
    }
  });

  // SQLAlchemy test/orm/test_transaction.py test_session_as_ctx_manager_one
  it('discards what its block wrote and did not commit', async () => {
    await factory.run(async (session) => {
      await session.begin();
      await session.execute(`insert into note (text) values ('lost')`);
      session.create(Note, { text: 'lost too' });
      await session.flush();
      expect(await session.count(Note)).toBe(2);
    });

    expect(await countNotes()).toBe(0);
  });

  // SQLAlchemy test/orm/test_transaction.py test_session_as_ctx_manager_two
  it('leaves no transaction behind when its block throws', async () => {
    const failed = factory.run(async (session) => {
      await session.begin();
      await session.execute(`insert into note (text) values ('lost')`);
      throw new Error('no');
    });

    await expect(failed).rejects.toThrow('no');
    expect(await countOpenTransactions()).toBe(0);
    expect(await countNotes()).toBe(0);
  });

  // SQLAlchemy test/orm/test_session.py test_close
  it('leaves a connection that it only borrowed to its owner', async () => {
    await using owner = factory.create();
    await owner.begin();
    await owner.execute(`insert into note (text) values ('of the owner')`);

    await factory.run(async (borrower) => {
      await borrower.begin({ ctx: owner.getTransactionContext() });
      borrower.create(Note, { text: 'of the borrower' });
      await borrower.flush();
    });

    expect(await owner.execute('select text from note')).toEqual([{ text: 'of the owner' }]);
    await owner.commit();
    expect(await countNotes()).toBe(1);
  });

  // SQLAlchemy test/orm/test_transaction.py test_begin_fails_connection_is_closed
  it.each<[string, (session: EntityManager) => Promise<unknown>]>([
    ['begin()', (session) => session.begin()],
    ['transactional()', (session) => session.transactional(() => 0)],
    ['flush()', (session) => session.persist(session.create(Note, { text: 'lost' })).flush()],
  ])('gives the connection of a transaction back that failed to start in %s', async (_name, start) => {
    let isFailing = true;
    app.orm.em.getEventManager().registerSubscriber({
      afterTransactionStart: async ({ em, transaction }) => {
        if (isFailing) {
          await em.getConnection().execute(`insert into note (text) values ('lost')`, [], 'run', transaction);
          throw new Error('no start');
        }
      },
    });

    const failed = await factory.run(start).catch((error: unknown) => error);
    isFailing = false;

    expect(failed).toEqual(new Error('no start'));
    expect(await countOpenTransactions()).toBe(0);
    expect(await countNotes()).toBe(0);
  });

  // EF Core DbContextPoolingTest.cs Object_in_pool_is_disposed
  it('refuses every method after its end, but for those that need no session', async () => {
    const session = factory.create();
    await session.close();

    // SessionFactory.create() added a close() that may be called again.
    expect(await findMethodsThatAnswer(session, SessionClosedError)).toEqual(
      METHODS_WITHOUT_SESSION.filter((name) => name in session),
    );
  });

  // EF Core DbContextPoolingTest.cs State_manager_is_reset
  it('starts with no entity of the session before it', async () => {
    await database.query(`insert into note (text) values ('one')`);
    const before = await factory.run(async (session) => {
      const found = await session.findOneOrFail(Note, { text: 'one' });
      found.text = 'changed and not flushed';
      return found;
    });

    await factory.run(async (session) => {
      expect(managed(session)).toEqual([]);
      const after = await session.findOneOrFail(Note, { id: before.id });

      expect(after).not.toBe(before);
      expect(after.text).toBe('one');
    });
  });
});
