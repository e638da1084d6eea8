import { FlushMode } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { JobService, SessionClosedError, SessionContext, SessionFactory } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { poll } from '../support/poll.js';
import { useTestApp } from '../support/use-test-app.js';

describe('SessionFactory', () => {
  let factory: SessionFactory<EntityManager>;

  const countNotes = async (): Promise<number> =>
    (await database.query<{ n: number }>('select count(*)::int as n from note'))[0]!.n;

  const { app, database } = useTestApp();

  beforeAll(() => {
    factory = app.get(SessionFactory);
  });

  afterEach(() => database.query('delete from note'));

  describe('begin', () => {
    it('flushes and commits when the work returns', async () => {
      const result = await factory.begin((session) => {
        session.create(Note, { text: 'kept' });
        return 'done';
      });

      expect(result).toBe('done');
      expect(await countNotes()).toBe(1);
    });

    it('rolls back when the work throws, and throws that error', async () => {
      const work = factory.begin(async (session) => {
        session.create(Note, { text: 'lost' });
        await session.flush();
        throw new Error('no');
      });

      await expect(work).rejects.toThrow('no');
      expect(await countNotes()).toBe(0);
    });
  });

  describe('begin with options of its transaction', () => {
    it('ends the statement that runs when the signal aborts', async () => {
      const stop = new AbortController();
      const work = factory.begin((session) => session.execute('select pg_sleep(60)'), {
        transaction: { signal: stop.signal, inflightQueryAbortStrategy: 'cancel query' },
      });
      work.catch(() => undefined);
      const findSleeping = (): Promise<unknown[]> =>
        database.query(
          `select from pg_stat_activity where datname = current_database() and state = 'active'
           and pid <> pg_backend_pid() and query like '%pg_sleep%'`,
        );
      await poll('it sleeps', async () => (await findSleeping()).length === 1);

      stop.abort(new Error('stopped'));

      await expect(work).rejects.toThrow('stopped');
      await poll('it sleeps no more', async () => (await findSleeping()).length === 0);
    });

    const count = (session: EntityManager): Promise<number> => {
      session.create(Note, { text: 'not flushed' });
      return session.count(Note);
    };
    const transaction = { flushMode: FlushMode.COMMIT };
    const ways: Record<string, (options?: typeof transaction) => Promise<unknown>> = {
      'begin()': (options) => factory.begin(count, options && { transaction: options }),
      'a job': async (options) =>
        (await app.get<JobService<EntityManager>>(JobService).map([1], count, options && { transaction: options }))[0],
    };

    it.each(Object.entries(ways))('flushes as the flush mode says: %s', async (_name, way) => {
      expect(await way(transaction)).toBe(0);
      expect(await way()).toBe(2);
    });

    it('logs with the context of the logger', async () => {
      const context = await factory.begin((session) => session.getLoggerContext(), {
        transaction: { loggerContext: { label: 'import' } },
      });

      expect(context).toMatchObject({ label: 'import' });
    });
  });

  describe('run', () => {
    it('commits nothing that the work did not commit', async () => {
      await factory.run((session) => {
        session.create(Note, { text: 'lost' });
      });

      expect(await countNotes()).toBe(0);
    });

    it('rolls back a transaction that the work left open, and gives its connection back', async () => {
      await factory.run(async (session) => {
        await session.begin();
        session.create(Note, { text: 'lost' });
        await session.flush();
      });

      expect(await countNotes()).toBe(0);
      await database.untilNoTransaction();
    });

    it('opens a scope within the one around it, and leaves that as it was', async () => {
      const context = app.get<SessionContext>(SessionContext);

      await factory.run(async (outer) => {
        const inner = await factory.run((session) => {
          expect(context.current).toBe(session);
          return session;
        });

        expect(inner).not.toBe(outer);
        expect(context.current).toBe(outer);
      });
    });

    it('closes the session for good', async () => {
      const session = await factory.run((own) => own);

      await expect(session.find(Note, {})).rejects.toThrow(SessionClosedError);
      expect(() => session.persist(new Note())).toThrow(
        'The session of "SessionFactory.run" was used after its end: it had returned.',
      );
    });

    it('is isolated from a transaction around it that it did not open', async () => {
      await app.orm.em.fork().transactional(async (outer) => {
        outer.create(Note, { text: 'outer' });
        await outer.flush();

        await factory.run(async (session) => {
          expect(session.isInTransaction()).toBe(false);
          expect(await app.orm.em.count(Note)).toBe(0);
        });
      });
    });
  });

  it('isolates a block and a job from the transaction of the session around them', async () => {
    const seen = await factory.run((outer) =>
      outer.transactional(async (transaction) => {
        transaction.create(Note, { text: 'uncommitted' });
        await transaction.flush();
        const look = async (session: EntityManager): Promise<unknown[]> => [
          session.isInTransaction(),
          app.orm.em.id === session.id,
          await session.count(Note),
        ];

        return [
          await factory.run(look),
          ...(await app.get<JobService<EntityManager>>(JobService).map([1], look, { transaction: 'none' })),
          await look(outer),
        ];
      }),
    );

    expect(seen).toEqual([
      [false, true, 0],
      [false, true, 0],
      [true, true, 1],
    ]);
  });

  describe('create', () => {
    it('gives a session that its maker closes', async () => {
      let kept: EntityManager;
      {
        await using session = factory.create();
        kept = session;
        session.create(Note, { text: 'kept' });
        await session.flush();
      }

      expect(() => kept.clear()).toThrow(SessionClosedError);
      expect(await countNotes()).toBe(1);
    });

    it('closes twice without complaint', async () => {
      const session = factory.create();

      await session.close();
      await session.close();

      expect(() => session.clear()).toThrow(SessionClosedError);
    });

    it('does not become the current session', async () => {
      const context = app.get<SessionContext>(SessionContext);
      await using session = factory.create();

      expect(context.tryCurrent).toBeUndefined();
      expect(session).toBeInstanceOf(EntityManager);
    });
  });

  describe('configure', () => {
    it('sets defaults for the sessions made from now on', async () => {
      const before = await factory.run((session) => session.schema);
      factory.configure({ fork: { schema: 'other' } });
      const after = await factory.run((session) => session.schema);
      factory.configure({ fork: { schema: 'public' } });

      expect([before, after]).toEqual([undefined, 'other']);
    });
  });

  it('keeps the filters of the application in every session', async () => {
    app.orm.em.addFilter({ name: 'tenant', cond: { tenant: 'b' }, entity: [Note] });
    await database.query(`insert into note (text, tenant) values ('x', 'a'), ('y', 'b')`);

    const found = await factory.run((session) => session.find(Note, {}));

    expect(found.map(({ text }) => text)).toEqual(['y']);
  });

  it.each([
    [{ lable: 'nightly' }, 'SessionFactory.begin() has no option `lable`.'],
    [{ isolationLevel: 'serializable' }, 'SessionFactory.begin() has no option `isolationLevel`.'],
    [{ transaction: { isolation: 'serializable' } }, 'has no option `transaction.isolation`.'],
    [{ transaction: true }, 'Expected `transaction` to be an object, got `true` (boolean).'],
    [{ info: 'a' }, "Expected `info` to be an object, got `'a'` (string)."],
    [null, 'Expected `options` to be an object, got `null`'],
  ])('refuses %j', async (options, message) => {
    const begun = factory.begin(() => undefined, options as never);

    await expect(begun).rejects.toThrow(TypeError);
    await expect(begun).rejects.toThrow(message);
  });

  it('refuses a transaction where the work has none', async () => {
    const run = factory.run(() => undefined, { transaction: {} } as never);

    await expect(run).rejects.toThrow(
      'SessionFactory.run() has no option `transaction`. It has `fork`, `info`, `label`.',
    );
    expect(() => factory.configure({ label: 'all' } as never)).toThrow(
      'SessionFactory.configure() has no option `label`.',
    );
  });
});
