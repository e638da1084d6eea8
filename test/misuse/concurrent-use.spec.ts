import {
  type EntityManager,
  type EventSubscriber,
  FlushMode,
  UniqueConstraintViolationException,
} from '@mikro-orm/postgresql';
import { ConcurrentSessionUseError, SessionFactory } from 'nestjs-mikro-session';

import { findTexts } from '../support/find-texts.js';
import { Note } from '../support/note.entity.js';
import { useTestApp } from '../support/use-test-app.js';

describe('overlapping calls on one session', () => {
  let factory: SessionFactory<EntityManager>;

  const { app, database } = useTestApp();

  beforeAll(() => {
    factory = app.get(SessionFactory);
  });

  afterEach(() => database.query('delete from note'));

  const texts = (): Promise<string[]> => findTexts(database, 'text');

  const operations = {
    flush: (session: EntityManager) => session.flush(),
    begin: (session: EntityManager) => session.begin(),
    transactional: (session: EntityManager) => session.transactional(async (inner) => void (await inner.count(Note))),
  };

  for (const [first, runFirst] of Object.entries(operations)) {
    for (const [second, runSecond] of Object.entries(operations)) {
      it(`fail in the second caller at once, the first is not disturbed: ${first}, ${second}`, async () => {
        await factory.run(async (session) => {
          session.create(Note, { text: 'once' });

          const [one, two] = await Promise.allSettled([runFirst(session), runSecond(session)]);

          expect(one).toEqual({ status: 'fulfilled', value: undefined });
          expect(two).toMatchObject({
            status: 'rejected',
            reason: {
              code: 'CONCURRENT_SESSION_USE',
              message:
                `${second}() was called on the session of "SessionFactory.run" while its ${first}() was still running. ` +
                'Await the first, or give each branch a session of its own with SessionFactory.begin() or JobService.',
            },
          });
        });
      });
    }
  }

  it.each(['commit', 'rollback'] as const)('fail in the second caller of %s', async (end) => {
    await factory.run(async (session) => {
      await session.begin();
      session.create(Note, { text: 'once' });

      const [one, two] = await Promise.allSettled([session[end](), session[end]()]);

      expect(one.status).toBe('fulfilled');
      expect(two).toMatchObject({ status: 'rejected', reason: expect.any(ConcurrentSessionUseError) });
    });

    expect(await texts()).toEqual(end === 'commit' ? ['once'] : []);
  });

  it('settle all when the flush that came first fails', async () => {
    await factory.run(async (session) => {
      session.create(Note, { id: 1, text: 'a' });
      await session.flush();
      session.clear();
      session.create(Note, { id: 1, text: 'duplicate' });

      const results = await Promise.allSettled([session.flush(), session.flush(), session.flush()]);

      expect(results).toMatchObject([
        { status: 'rejected', reason: expect.any(UniqueConstraintViolationException) },
        { status: 'rejected', reason: { code: 'CONCURRENT_SESSION_USE' } },
        { status: 'rejected', reason: { code: 'CONCURRENT_SESSION_USE' } },
      ]);
    });
  });

  it('lose no rows in parallel savepoints: the second is refused', async () => {
    const reported: string[] = [];

    await factory.begin(async (session) => {
      const write = (text: string): Promise<void> =>
        session.transactional(async (inner) => {
          inner.create(Note, { text });
          await inner.flush();
        });
      const results = await Promise.allSettled([write('a'), write('b'), write('c')]);
      reported.push(...results.map(({ status }) => status));
    });

    expect(reported).toEqual(['fulfilled', 'rejected', 'rejected']);
    expect(await texts()).toEqual(['a']);
  });

  it('are found through every way that leads to the session', async () => {
    await factory.run(async (session) => {
      session.create(Note, { text: 'once' });

      const results = await Promise.allSettled([session.flush(), app.orm.em.flush()]);

      expect(results).toMatchObject([{ status: 'fulfilled' }, { reason: { code: 'CONCURRENT_SESSION_USE' } }]);
    });
  });

  it('pass when they only read, also when each wants a flush before it', async () => {
    await factory.run(async (session) => {
      session.create(Note, { text: 'a' });

      const counts = await Promise.all([session.find(Note, {}), session.find(Note, {}), session.findAll(Note)]);

      expect(counts.map((found) => found.length)).toEqual([1, 1, 1]);
    });

    expect(await texts()).toEqual(['a']);
  });

  it('pass when they only read, also with the flush mode `always`', async () => {
    await factory.run(
      async (session) => {
        session.create(Note, { text: 'a' });

        const counts = await Promise.all([session.find(Note, {}), session.count(Note), session.findAll(Note)]);

        expect(counts).toMatchObject([[{ text: 'a' }], 1, [{ text: 'a' }]]);
      },
      { fork: { flushMode: FlushMode.ALWAYS } },
    );
  });

  it('are refused in a hook that reads with the flush mode `always`, which would wait for itself', async () => {
    let seen: unknown;
    const subscriber: EventSubscriber = {
      async afterFlush({ em }) {
        seen ??= await em.count(Note).catch((error: unknown) => error);
      },
    };
    app.orm.em.getEventManager().registerSubscriber(subscriber);

    await factory.run((session) => session.flush(), { fork: { flushMode: FlushMode.ALWAYS } });
    app.orm.em.getEventManager().getSubscribers().delete(subscriber);

    expect(seen).toBeInstanceOf(ConcurrentSessionUseError);
  });

  it('pass when a read overlaps a flush', async () => {
    await factory.run(async (session) => {
      session.create(Note, { text: 'a' });

      const [, found] = await Promise.all([session.flush(), session.find(Note, {})]);

      expect(found).toHaveLength(1);
    });
  });

  it('are not seen in the flush of a transaction, nor in hooks', async () => {
    const seen: string[] = [];
    const subscriber = {
      async beforeFlush({ em }: { em: unknown }) {
        seen.push(`before ${(await (em as EntityManager).find(Note, {})).length}`);
      },
      async afterFlush({ em }: { em: unknown }) {
        seen.push(`after ${(await (em as EntityManager).find(Note, {})).length}`);
      },
    };
    app.orm.em.getEventManager().registerSubscriber(subscriber);

    await factory.begin(async (session) => {
      session.create(Note, { text: 'a' });
    });
    await factory.run((session) =>
      session.transactional(async (inner) => {
        inner.create(Note, { text: 'b' });
        await inner.transactional(async (innermost) => {
          innermost.create(Note, { text: 'c' });
        });
      }),
    );

    expect(await texts()).toEqual(['a', 'b', 'c']);
    expect(seen.length).toBeGreaterThan(3);
  });

  it('pass one after the other', async () => {
    await factory.run(async (session) => {
      for (const text of ['a', 'b']) {
        await session.begin();
        session.create(Note, { text });
        await session.flush();
        await session.commit();
      }
      await session.begin();
      await session.rollback();
      await session.transactional(async (inner) => {
        inner.create(Note, { text: 'c' });
      });
    });

    expect(await texts()).toEqual(['a', 'b', 'c']);
  });

  it('refuse to begin a transaction in a transaction', async () => {
    await factory.run(async (session) => {
      await session.begin();

      await expect(session.begin()).rejects.toThrow('which has a transaction open already');
      await session.commit();
    });
  });
});
