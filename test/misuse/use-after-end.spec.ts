import { setImmediate as nextTurn } from 'node:timers/promises';

import type { EntityManager, EventSubscriber } from '@mikro-orm/postgresql';
import { JobService, SessionClosedError, SessionContext, SessionFactory, SessionRegistry } from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { Note } from '../support/note.entity.js';
import { itUnless } from '../support/unless.js';
import { useTestApp } from '../support/use-test-app.js';

/** Fails the rollbacks of a test that says so. */
class RollbackHook implements EventSubscriber {
  isFailing = false;

  beforeTransactionRollback(): void {
    if (this.isFailing) {
      throw new Error('the hook of the rollback failed');
    }
  }
}

describe('a session after its end', () => {
  let factory: SessionFactory<EntityManager>;
  let context: SessionContext<EntityManager>;
  const hook = new RollbackHook();

  const { app, database } = useTestApp({ orm: { subscribers: [hook] } });

  beforeAll(() => {
    factory = app.get(SessionFactory);
    context = app.get(SessionContext);
  });

  afterEach(async () => {
    hook.isFailing = false;
    expect(await countOpenTransactions()).toBe(0);
    expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
    await database.query('delete from note');
  });

  const countOpenTransactions = (): Promise<number> => database.countOpenTransactions();

  const countNotes = async (): Promise<number> =>
    Number((await database.query<{ n: unknown }>('select count(*) as n from note'))[0]!.n);

  /** Leaves a transaction open with a row written in it. */
  async function leaveOpen(session: EntityManager): Promise<EntityManager> {
    await session.begin();
    session.create(Note, { text: 'never committed' });
    await session.flush();
    return session;
  }

  it('has rolled back, when its scope returned', async () => {
    const session = await factory.run(leaveOpen);

    expect(session.getUnitOfWork(false).getIdentityMap().values()).toEqual([]);
    expect(() => session.getReference(Note, 1)).toThrow('used after its end: it had returned');
    expect(await countNotes()).toBe(0);
  });

  it('has forgotten what it had loaded', async () => {
    await factory.begin((session) => {
      session.create(Note, { text: 'kept' });
    });

    const session = await factory.run(async (own) => {
      await own.findAll(Note);
      expect(own.getUnitOfWork().getIdentityMap().values()).toHaveLength(1);
      return own;
    });

    expect(session.getUnitOfWork(false).getIdentityMap().values()).toEqual([]);
  });

  it('has rolled back, when its scope threw', async () => {
    let kept: EntityManager | undefined;

    const work = factory.run(async (session) => {
      kept = await leaveOpen(session);
      throw new Error('on purpose');
    });

    await expect(work).rejects.toThrow('on purpose');
    await expect(kept?.flush()).rejects.toThrow('used after its end: it had thrown');
    expect(await countNotes()).toBe(0);
  });

  it('refuses everything', async () => {
    const session = await factory.run((own) => own);

    const uses: (() => unknown)[] = [
      () => session.persist(new Note()),
      () => session.remove(new Note()),
      () => session.clear(),
      () => session.merge(Note, { id: 1, text: '', tenant: '' }),
      () => session.assign(new Note(), { text: '' }),
      () => session.create(Note, { text: '' }),
      () => session.fork(),
      () => session.createQueryBuilder(Note),
      () => session.getKysely(),
      () => session.getUnitOfWork(),
    ];
    const queries: (() => Promise<unknown>)[] = [
      () => session.find(Note, {}),
      () => session.findOne(Note, 1),
      () => session.count(Note),
      () => session.execute('select 1'),
      () => session.insert(Note, { text: '' }),
      () => session.upsert(Note, { id: 1, text: '' }),
      () => session.nativeDelete(Note, {}),
      () => session.flush(),
      () => session.begin(),
      () => session.commit(),
      () => session.rollback(),
      () => session.transactional(async () => 0),
    ];

    for (const use of uses) {
      expect(use).toThrow(SessionClosedError);
    }
    for (const query of queries) {
      await expect(query()).rejects.toThrow(SessionClosedError);
    }
  });

  it('cannot be reached by a promise that outlived its scope', async () => {
    const gate = Promise.withResolvers<void>();
    let orphan: Promise<unknown[]> | undefined;

    await factory.run(
      () => {
        orphan = gate.promise.then(() => [
          tryTo(() => context.current),
          tryTo(() => app.orm.em.clear()),
          context.tryCurrent,
        ]);
      },
      { label: 'parent' },
    );
    gate.resolve();

    expect(await orphan).toEqual([
      expect.objectContaining({ code: 'SESSION_CLOSED', message: expect.stringContaining('"parent"') }),
      expect.objectContaining({ code: 'SESSION_CLOSED' }),
      undefined,
    ]);
  });

  it('has ended the transaction of a promise that outlived its scope', async () => {
    const gate = Promise.withResolvers<void>();
    const began = Promise.withResolvers<void>();
    let orphan: Promise<unknown> | undefined;
    using log = new CapturedLog();

    await factory.run(async (session) => {
      orphan = session
        .transactional(async (inner) => {
          inner.create(Note, { text: 'too late' });
          await inner.flush();
          began.resolve();
          await gate.promise;
          return inner.count(Note);
        })
        .catch((error: unknown) => error);
      await began.promise;
    });

    expect(await countOpenTransactions()).toBe(0);
    gate.resolve();
    expect(await orphan).toBeInstanceOf(SessionClosedError);
    expect(await countNotes()).toBe(0);
    expect(log.errors).toEqual([]);
  });

  it('may be closed any number of times', async () => {
    const session = factory.create();
    await leaveOpen(session);

    await Promise.all([session.close(), session.close()]);
    await session[Symbol.asyncDispose]();

    expect(await countNotes()).toBe(0);
  });

  it('reports the first error, and logs the one of a rollback that failed', async () => {
    using log = new CapturedLog();

    const work = factory.run(async (session) => {
      await leaveOpen(session);
      hook.isFailing = true;
      throw new Error('the first');
    });

    await expect(work).rejects.toThrow('the first');
    expect(log.errors).toEqual([expect.stringContaining('The scope "SessionFactory.run" could not be ended cleanly')]);
  });

  it('throws the error of a rollback that failed, where there is no other', async () => {
    const work = factory.run(async (session) => {
      await leaveOpen(session);
      hook.isFailing = true;
    });

    await expect(work).rejects.toThrow('the hook of the rollback failed');
  });

  itUnless({ sqlite: 'Its connection cannot be lost.' })(
    'has nothing to tell of a transaction that is gone with its connection',
    async () => {
      using log = new CapturedLog();

      await factory.run(async (session) => {
        await leaveOpen(session);
        await database.terminate(await database.connectionOf(session));
      });

      expect(log.errors).toEqual([]);
      expect(await countNotes()).toBe(0);
    },
  );

  it('is forgotten by remove(), and the next use in the scope makes a new one', async () => {
    await factory.run(async (session) => {
      await leaveOpen(session);

      await context.remove();

      expect(() => session.clear()).toThrow('it had been removed from its scope');
      expect(context.current).not.toBe(session);
      expect(await context.current.count(Note)).toBe(0);
    });
  });

  it('is closed at the end of its scope, when nobody waited for its remove()', async () => {
    const calls: string[] = [];

    await factory.run(() => {
      context.onClose(async () => {
        await database.query('select 1');
        calls.push('closed');
      });
      void context.remove();
    });

    expect(calls).toEqual(['closed']);
  });

  it('is forgotten by remove() also when closing fails', async () => {
    await factory.run(async (session) => {
      await leaveOpen(session);
      hook.isFailing = true;

      await expect(context.remove()).rejects.toThrow('the hook of the rollback failed');

      expect(context.current).not.toBe(session);
      expect(await context.current.count(Note)).toBe(0);
    });
  });

  it('is closed when a hook of the database layer throws', async () => {
    const subscriber = {
      beforeTransactionCommit() {
        throw new Error('hook');
      },
    };
    app.orm.em.getEventManager().registerSubscriber(subscriber);
    let kept: EntityManager | undefined;

    const work = factory.begin((session) => {
      kept = session;
      session.create(Note, { text: 'lost' });
    });

    await expect(work).rejects.toThrow('hook');
    expect(() => kept?.clear()).toThrow(SessionClosedError);
    expect(await countNotes()).toBe(0);
    app.orm.em.getEventManager().getSubscribers().delete(subscriber);
  });

  it('of an aborted job is rolled back', async () => {
    const jobs = app.get<JobService<EntityManager>>(JobService);
    const cancel = new AbortController();

    const outcomes = await jobs.settle(
      [1],
      async (session, _n, { signal }) => {
        session.create(Note, { text: 'aborted' });
        await session.flush();
        cancel.abort();
        await nextTurn();
        signal.throwIfAborted();
      },
      { signal: cancel.signal },
    );

    expect(outcomes).toMatchObject([{ status: 'rejected', reason: { name: 'AbortError' } }]);
    expect(await countNotes()).toBe(0);
  });
});

function tryTo(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return error;
  }
}
