import type { EntityManager } from '@mikro-orm/postgresql';
import { SessionClosedError, SessionFactory, SessionRegistry } from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { Note } from '../support/note.entity.js';
import { useTestApp } from '../support/use-test-app.js';

describe('what a session left open at its end', () => {
  let factory: SessionFactory<EntityManager>;
  let subscriberError: Error | undefined;

  const { app, database } = useTestApp({ orm: { pool: { min: 0, max: 2 } } });

  beforeAll(() => {
    factory = app.get(SessionFactory);
    app.orm.em.getEventManager().registerSubscriber({
      beforeTransactionRollback: () => {
        if (subscriberError !== undefined) {
          throw subscriberError;
        }
      },
    });
  });

  afterEach(async () => {
    subscriberError = undefined;
    await untilIdle();
    expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
    await database.query('delete from note');
  });

  /** The server says of a connection that it is idle a moment after the last row, which ends a stream. */
  const untilIdle = (): Promise<void> =>
    database.until(
      `select count(*) = 0 from pg_stat_activity
       where datname = current_database() and state <> 'idle' and pid <> pg_backend_pid()`,
    );

  const countNotes = async (): Promise<number> =>
    (await database.query<{ n: number }>('select count(*)::int as n from note'))[0]!.n;

  describe('a stream that was read in part', () => {
    beforeEach(() => database.query(`insert into note (text) select 'x' from generate_series(1, 500)`));

    it.each<[string, (session: EntityManager) => Promise<void>]>([
      ['outside of a transaction', () => Promise.resolve()],
      ['in a transaction', (session) => session.begin()],
    ])('gives its connection back, %s', async (_name, prepare) => {
      const stream = await factory.run(async (session) => {
        await prepare(session);
        const reading = session.stream(Note);
        expect(await reading.next()).toMatchObject({ value: { text: 'x' } });
        return reading;
      });

      await untilIdle();
      await expect(stream.next()).rejects.toThrow(SessionClosedError);
    });

    it.each<[string, (read: (session: EntityManager) => Promise<unknown>) => Promise<unknown>]>([
      ['begin()', (read) => factory.begin(read)],
      ['transactional()', (read) => factory.run((session) => session.transactional(read))],
      ['a savepoint', (read) => factory.begin((session) => session.transactional(read))],
      [
        'commit()',
        (read) =>
          factory.run(async (session) => {
            await session.begin();
            await read(session);
            await session.commit();
          }),
      ],
    ])('lets the transaction of its rows end: %s', async (_name, inTransaction) => {
      const read = async (session: EntityManager): Promise<unknown> => {
        await session.execute(`insert into note (text) values ('lost')`);
        return (await session.stream(Note).next()).value;
      };
      const failure = { code: 'SESSION_STATE', message: expect.stringContaining('while a stream of it was half read') };

      await expect(inTransaction(read)).rejects.toMatchObject(failure);
      await expect(
        inTransaction(async (session) => {
          await read(session);
          throw new Error('first');
        }),
      ).rejects.toThrow('first');
      expect(await countNotes()).toBe(500);
    });

    it('lets the transaction of its rows be rolled back', async () => {
      await factory.run(async (session) => {
        await session.begin();
        await session.stream(Note).next();
        await session.rollback();

        expect(await session.count(Note)).toBe(500);
      });
    });

    it('gives its connection back at once when its reader stops', async () => {
      await factory.run(async (session) => {
        for await (const note of session.stream(Note)) {
          expect(note.text).toBe('x');
          break;
        }

        await untilIdle();
      });
    });

    it('is read to its end within the session', async () => {
      await factory.run(async (session) => {
        const notes = await Array.fromAsync(session.stream(Note, { where: { text: 'x' } }));

        expect(notes).toHaveLength(500);
      });
    });
  });

  it('is rolled back also when a subscriber to the rollback throws, whose error is thrown', async () => {
    const left = factory.run(async (session) => {
      await session.begin();
      await session.execute(`insert into note (text) values ('lost')`);
      subscriberError = new Error('no rollback');
    });

    await expect(left).rejects.toThrow('no rollback');
    await untilIdle();
    expect(await countNotes()).toBe(0);
  });

  it.each<[string, (session: EntityManager) => Promise<unknown>]>([
    ['transactional()', (session) => session.transactional(() => Promise.reject(new Error('first')))],
    [
      'flush()',
      (session) => {
        session.create(Note, { id: -1, text: 'taken' });
        return session.flush();
      },
    ],
  ])('is rolled back after a failed %s whose rollback a subscriber stopped', async (_name, fail) => {
    using log = new CapturedLog();
    await database.query(`insert into note (id, text) values (-1, 'first')`);
    subscriberError = new Error('no rollback');

    await expect(factory.run(fail)).rejects.toThrow(/first|duplicate key/);

    expect(log.errors).toEqual(['The scope "SessionFactory.run" could not be ended cleanly: no rollback']);
    await untilIdle();
  });

  it('is rolled back to its savepoint within the transaction of another session', async () => {
    await using outer = factory.create();
    await outer.begin();

    await factory.run(async (session) => {
      const fork = session.fork();
      await session.begin({ ctx: outer.getTransactionContext() });
      await session.execute(`insert into note (text) values ('lost')`);
      await fork.begin({ ctx: session.getTransactionContext() });
      await fork.execute(`insert into note (text) values ('lost too')`);
    });
    await outer.commit();

    expect(await countNotes()).toBe(0);
  });

  it('is not rolled back on a connection that another session has by now', async () => {
    await using outer = factory.create();
    await outer.begin();

    await factory.run(async (session) => {
      await session.begin({ ctx: outer.getTransactionContext() });
      await outer.commit();
      await outer.begin();
      await outer.transactional((inner) => inner.execute(`insert into note (text) values ('kept')`));
    });
    await outer.commit();

    expect(await countNotes()).toBe(1);
  });
});
