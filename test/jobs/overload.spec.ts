import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService, SessionFactory } from 'nestjs-mikro-session';

import { catchPool } from '../support/catch-pool.js';
import { NetworkProxy } from '../support/network-proxy.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const POOL_SIZE = 8;
const JOBS = 160;

describe('jobs that have too little time', () => {
  let database: TestDatabase;
  let network: NetworkProxy;
  let app: TestApp;
  let jobs: JobService<EntityManager>;
  let pool: { readonly totalCount: number; readonly waitingCount: number };
  let console: jest.SpyInstance;

  beforeAll(async () => {
    database = await createTestDatabase();
    network = await NetworkProxy.start(database.url);
    const caught = catchPool();
    app = await startTestApp({
      databaseUrl: network.url,
      orm: { pool: { min: 0, max: POOL_SIZE }, ...caught.options },
    });
    pool = await caught.pool;
    jobs = app.get(JobService);
    // Kysely says there that the statement it has cancelled was cancelled.
    console = import.meta.jest.spyOn(globalThis.console, 'error').mockImplementation();
  });

  afterAll(async () => {
    console.mockRestore();
    await app.close();
    await network.close();
    await database.drop();
  });

  const numbers = Array.from({ length: JOBS }, (_, n) => n);

  /** Holds connections until it is told to give them back. */
  async function hold(connections: number): Promise<() => Promise<unknown>> {
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    const isOver = Promise.withResolvers<void>();
    const held: Promise<void>[] = [];
    const ends = Array.from({ length: connections }, () => {
      const holding = Promise.withResolvers<void>();
      held.push(holding.promise);
      return factory.begin(async (session) => {
        await session.execute('select 1');
        holding.resolve();
        await isOver.promise;
      });
    });
    await Promise.all(held);
    return () => {
      isOver.resolve();
      return Promise.all(ends);
    };
  }

  it.each([
    ['for their statements', 0, 40, 40, 0],
    ['for a wait that never ends', POOL_SIZE, 20, 30, 0],
    ['for the slowest of them to wait for a connection', POOL_SIZE - 1, 20, 400, 10],
  ])(
    '%s leave no wait behind, begin nothing twice, and let others succeed',
    async (_what, held, sleep, timeout, least) => {
      const giveBack = await hold(held);
      let [begun, waiting] = [0, 0];
      const stop = network.each('statement', /^begin/i, () => (begun += 1));
      const work = async (session: EntityManager): Promise<void> => {
        waiting = Math.max(waiting, pool.waitingCount);
        await session.execute(`select pg_sleep(${sleep / 1_000})`);
      };

      const outcomes = await jobs.settle(numbers, work, { timeout, concurrency: POOL_SIZE });
      const left = pool.waitingCount;
      await giveBack();
      const after = await jobs.settle(numbers.slice(0, POOL_SIZE), work, { concurrency: POOL_SIZE });
      stop();

      expect(waiting).toBeLessThanOrEqual(POOL_SIZE);
      expect(left).toBe(0);
      expect(pool.totalCount).toBeLessThanOrEqual(POOL_SIZE);
      expect(begun).toBeLessThanOrEqual(JOBS + POOL_SIZE);
      expect(outcomes.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThanOrEqual(least);
      expect(outcomes.every((outcome) => outcome.status === 'fulfilled' || outcome.ending === 'timeout')).toBe(true);
      expect(after.filter(({ status }) => status === 'fulfilled')).toHaveLength(POOL_SIZE);
    },
  );
});
