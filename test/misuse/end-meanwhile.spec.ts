import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService, SessionClosedError, SessionFactory } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { useTestApp } from '../support/use-test-app.js';

type Use = (session: EntityManager) => Promise<unknown>;

const readAll: Use = async (session) => {
  for await (const note of session.stream(Note, {})) {
    void note;
  }
};

/** More than any statement needs from its check to the pool. */
const MICROTASKS = 25;

const uses: Record<string, Use> = {
  'find()': (session) => session.findAll(Note),
  'findOne()': (session) => session.findOne(Note, { id: 1 }),
  'findAndCount()': (session) => session.findAndCount(Note, {}),
  'count()': (session) => session.count(Note),
  'nativeUpdate()': (session) => session.nativeUpdate(Note, { id: 1 }, { text: 'late' }),
  'nativeDelete()': (session) => session.nativeDelete(Note, { id: 1 }),
  'stream()': readAll,
  'count() of a fork': (session) => session.fork().count(Note),
  'count() in a transaction': (session) => session.transactional((inner) => inner.count(Note)),
};

const unfilteredUses: Record<string, Use> = {
  'insert()': (session) => session.insert(Note, { text: 'late' }),
  'upsert()': (session) => session.upsert(Note, { id: 1, text: 'late' }),
  'flush()': (session) => {
    session.create(Note, { text: 'late' });
    return session.flush();
  },
  'execute()': (session) => session.execute('select 1'),
  'a query builder': (session) => session.createQueryBuilder(Note).getResult(),
  'a query of Kysely': (session) => session.getKysely<{ note: Note }>().selectFrom('note').selectAll().execute(),
};

describe('a session that ends while a statement of it is on its way to a full pool', () => {
  const { app } = useTestApp({ session: { unflushed: 'ignore' }, orm: { pool: { min: 0, max: 1 } } });

  it.each(Object.entries({ ...uses, ...unfilteredUses }))('ends the wait of %s', async (_name, use) => {
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    const isHeld = Promise.withResolvers<void>();
    const mayEnd = Promise.withResolvers<void>();
    const holding = factory.begin(async (session) => {
      await session.execute('select 1');
      isHeld.resolve();
      await mayEnd.promise;
    });
    await isHeld.promise;

    try {
      for (let microtasks = 0; microtasks < MICROTASKS; microtasks += 1) {
        let waiting: Promise<unknown> | undefined;
        await factory.run(async (session) => {
          waiting = use(session);
          waiting.catch(() => undefined);
          await passMicrotasks(microtasks);
        });

        await expect(waiting).rejects.toThrow(SessionClosedError);
      }
    } finally {
      mayEnd.resolve();
      await holding;
    }
  });
});

describe('a session that ends while it waits for a filter that never answers', () => {
  let isReached = Promise.withResolvers<void>();
  let isSlow = false;
  const never = new Promise<void>(() => undefined);
  const cond = async (): Promise<object> => {
    if (isSlow) {
      isReached.resolve();
      await never;
    }
    return {};
  };
  const { app } = useTestApp({ orm: { filters: { slow: { cond } } } });

  beforeEach(() => {
    isSlow = true;
    isReached = Promise.withResolvers();
  });

  afterEach(() => {
    isSlow = false;
  });

  it.each(Object.entries(uses))('ends the wait of %s', async (_name, use) => {
    let waiting: Promise<unknown> | undefined;

    await app.get<SessionFactory<EntityManager>>(SessionFactory).run(async (session) => {
      waiting = use(session);
      waiting.catch(() => undefined);
      await isReached.promise;
    });

    await expect(waiting).rejects.toThrow(SessionClosedError);
  });

  it.each(Object.entries(uses))('ends a job that is aborted in %s', async (_name, use) => {
    const aborter = new AbortController();
    const work = app.get<JobService<EntityManager>>(JobService).map([1], use, { signal: aborter.signal });
    work.catch(() => undefined);
    await isReached.promise;

    aborter.abort();

    await expect(work).rejects.toThrow(AggregateError);
  });
});

async function passMicrotasks(count: number): Promise<void> {
  for (let passed = 0; passed < count; passed += 1) {
    await Promise.resolve();
  }
}
