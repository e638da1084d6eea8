import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService, SessionClosedError, SessionFactory, SessionRegistry } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { useTestApp } from '../support/use-test-app.js';

const POOL_SIZE = 2;

describe('a transaction that begins when its scope has ended', () => {
  let factory: SessionFactory<EntityManager>;
  let late: Promise<unknown>;

  const { app, database } = useTestApp({ orm: { pool: { min: 0, max: POOL_SIZE } } });

  beforeAll(() => {
    factory = app.get(SessionFactory);
  });

  afterEach(async () => {
    const inTransaction = await database.query(
      `select query from pg_stat_activity where datname = current_database() and state like 'idle in%'`,
    );
    expect(inTransaction).toEqual([]);
    expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
    // The pool is whole.
    await Promise.all(Array.from({ length: POOL_SIZE }, () => factory.begin((session) => session.count(Note))));
    await database.query('delete from note');
  });

  const writeWithin = (session: EntityManager): Promise<unknown> =>
    session.transactional((inner) => inner.insert(Note, { text: 'late' }));

  const ways: readonly [string, (session: EntityManager) => Promise<unknown>][] = [
    ['begin()', (session) => session.begin()],
    ['transactional()', writeWithin],
    ['a flush', (session) => session.persist(session.create(Note, { text: 'late' })).flush()],
    ['begin() of a fork', (session) => session.fork().begin()],
  ];

  it.each(ways)('is rolled back at once: %s', async (_name, work) => {
    await factory.run((session) => {
      late = work(session);
      late.catch(() => undefined);
    });

    await expect(late).rejects.toThrow(SessionClosedError);
    expect(await database.query('select * from note')).toEqual([]);
  });

  it('is rolled back also when it waited for a connection that long', async () => {
    const isHeld = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const holders = Array.from({ length: POOL_SIZE }, () =>
      factory.begin(async (session) => {
        await session.execute('select 1');
        isHeld.resolve();
        await release.promise;
      }),
    );
    await isHeld.promise;

    await factory.run((session) => {
      late = writeWithin(session);
      late.catch(() => undefined);
    });
    release.resolve();

    await expect(late).rejects.toThrow(SessionClosedError);
    await Promise.all(holders);
  });

  it('does not keep a job from ending that failed beside it', async () => {
    const begun: Promise<void>[] = [];

    const outcomes = await app.get<JobService<EntityManager>>(JobService).settle(
      [1, 2, 3],
      async (session) => {
        const begins = session.begin();
        begun.push(begins);
        await Promise.all([begins, Promise.reject(new Error('on purpose'))]);
      },
      { transaction: 'none' },
    );

    const ended = await Promise.allSettled(begun);
    expect(ended.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    ended.forEach((end) => expect(end).toMatchObject({ reason: expect.any(SessionClosedError) as unknown }));
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  });
});
