import type { EntityManager } from '@mikro-orm/postgresql';
import { SessionFactory, SessionPoolDeadlockError } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { useTestApp } from '../support/use-test-app.js';

const POOL_SIZE = 3;

describe('the wait for a connection', () => {
  let factory: SessionFactory<EntityManager>;

  const { app, database } = useTestApp({ orm: { pool: { min: 0, max: POOL_SIZE } } });

  beforeAll(() => {
    factory = app.get(SessionFactory);
  });

  const times = <Result>(work: () => Promise<Result>): Promise<Result>[] => Array.from({ length: POOL_SIZE }, work);

  const countElsewhere = (): Promise<number> => factory.run((session) => session.count(Note));

  /** A block that holds a connection. */
  const hold = <Result>(work: (session: EntityManager) => Result | Promise<Result>): Promise<Result> =>
    factory.begin(async (session) => {
      await session.execute('select 1');
      return work(session);
    });

  it('is for an idle connection too, when another call of the same moment gets it', async () => {
    await Promise.all(times(() => hold(() => undefined)));
    const bothHoldOne = Promise.withResolvers<void>();
    let holders = 0;
    const holdThree = (): Promise<void> =>
      hold(async () => {
        holders += 1;
        if (holders === 2) {
          bothHoldOne.resolve();
        }
        await bothHoldOne.promise;
        await hold(() => hold(() => undefined));
      });

    const ends = await Promise.allSettled([holdThree(), holdThree()]);

    expect(ends.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(ends).toContainEqual({ status: 'rejected', reason: expect.any(SessionPoolDeadlockError) });
  });

  it('fails a read with the same error as a transaction', async () => {
    const work = hold(() => hold(() => hold(countElsewhere)));

    await expect(work).rejects.toThrow(SessionPoolDeadlockError);
  });

  it('fails on those who held none for a while, and hold one again', async () => {
    const allHeldNone = Promise.withResolvers<void>();
    const allHoldOne = Promise.withResolvers<void>();
    let waiting = 0;
    let holders = 0;
    const holdTwice = (): Promise<number> =>
      factory.run(async (session) => {
        await session.transactional((inner) => inner.count(Note));
        waiting += 1;
        if (waiting === POOL_SIZE) {
          // More than the pool has connections for: some wait.
          await Promise.all([...times(countElsewhere), ...times(countElsewhere)]);
          allHeldNone.resolve();
        }
        await allHeldNone.promise;
        return session.transactional(async (inner) => {
          await inner.execute('select 1');
          holders += 1;
          if (holders === POOL_SIZE) {
            allHoldOne.resolve();
          }
          await allHoldOne.promise;
          return countElsewhere();
        });
      });

    const ends = await Promise.allSettled(times(holdTwice));

    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(POOL_SIZE - 1);
    expect(ends).toContainEqual({ status: 'rejected', reason: expect.any(SessionPoolDeadlockError) });
  });

  it('goes on beside transactions that do not wait for it', async () => {
    const allHoldOne = Promise.withResolvers<void>();
    let holders = 0;
    const holdAndRead = (): Promise<[void, number]> =>
      factory.run((session) =>
        Promise.all([
          session.transactional(async () => {
            holders += 1;
            if (holders === POOL_SIZE) {
              allHoldOne.resolve();
            }
            await allHoldOne.promise;
            await session.execute('select 1');
          }),
          allHoldOne.promise.then(countElsewhere),
        ]),
      );

    expect(await Promise.all(times(holdAndRead))).toEqual(Array.from({ length: POOL_SIZE }, () => [undefined, 0]));
  });

  it('goes on beside flushes that do not wait for it', async () => {
    await database.query('begin');
    await database.query('lock table note in exclusive mode');
    const flush = Promise.withResolvers<void>();
    const flushAndRead = (): Promise<[void, number]> =>
      factory.run((session) => {
        session.create(Note, { text: 'late' });
        return Promise.all([session.flush(), flush.promise.then(countElsewhere)]);
      });

    const work = Promise.all(times(flushAndRead));
    await database.until(
      `select count(*) = ${POOL_SIZE} from pg_locks where not granted and relation = 'note'::regclass`,
    );
    flush.resolve();
    await database.query('commit');

    expect(await work).toHaveLength(POOL_SIZE);
  });

  it('fails when all connections are held by half-read streams whose readers wait', async () => {
    await database.query(`insert into note (text) select 'row' from generate_series(1, 10)`);
    const allHoldOne = Promise.withResolvers<void>();
    let holders = 0;
    const readAndWait = (): Promise<number> =>
      factory.run(async (session) => {
        let rows = 0;
        for await (const _row of session.stream(Note)) {
          rows += 1;
          if (rows === 1) {
            holders += 1;
            if (holders === POOL_SIZE) {
              allHoldOne.resolve();
            }
            await allHoldOne.promise;
            await session.count(Note);
          }
        }
        return rows;
      });

    const ends = await Promise.allSettled(times(readAndWait));
    await database.query('delete from note');

    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(POOL_SIZE - 1);
    expect(ends).toContainEqual({ status: 'rejected', reason: expect.any(SessionPoolDeadlockError) });
  });

  it('goes on beside streams that are read on', async () => {
    await database.query(`insert into note (text) select 'row' from generate_series(1, 10)`);
    const readAll = (): Promise<number> =>
      factory.run(async (session) => {
        let rows = 0;
        for await (const _row of session.stream(Note)) {
          rows += 1;
        }
        return rows;
      });

    const counts = await Promise.all([...times(readAll), ...times(countElsewhere), ...times(readAll)]);
    await database.query('delete from note');

    expect(counts).toEqual(counts.map(() => 10));
  });
});
