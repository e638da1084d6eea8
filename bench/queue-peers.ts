import { createPostgresBackend, Queue, setDefaultBackendFactory, Worker } from 'bullmq';
import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import { Pool } from 'pg';

import { emptyTable, POOL_SIZE } from './applications.ts';
import type { Claim, Side } from './claim.ts';
import { JOBS, queueClaim } from './queue.ts';

/** Inserts a row, and tells when all of a round have been inserted. */
class Rows {
  readonly #pool: Pool;
  #left = 0;
  #isDone = Promise.withResolvers<void>();

  constructor(databaseUrl: string) {
    this.#pool = new Pool({ connectionString: databaseUrl, min: POOL_SIZE, max: POOL_SIZE });
  }

  expect(count: number): Promise<void> {
    this.#left = count;
    this.#isDone = Promise.withResolvers();
    return this.#isDone.promise;
  }

  async insert(value: number): Promise<void> {
    await this.#pool.query('insert into "item" ("value") values ($1)', [value]);
    this.#left -= 1;
    if (this.#left === 0) {
      this.#isDone.resolve();
    }
  }

  close(): Promise<void> {
    return this.#pool.end();
  }
}

/** Durable jobs against graphile-worker, whose effects are there at least once. */
export const graphileClaim: Claim = {
  title: queueClaim.title,
  peer: 'graphile-worker with the same insert, at least once',
  ours: queueClaim.ours,
  async theirs(databaseUrl) {
    await emptyTable(databaseUrl);
    const rows = new Rows(databaseUrl);
    const utils = await makeWorkerUtils({ connectionString: databaseUrl, schema: 'graphile_worker' });
    await utils.migrate();
    const runner = await run({
      connectionString: databaseUrl,
      concurrency: POOL_SIZE,
      maxPoolSize: POOL_SIZE + 2,
      noHandleSignals: true,
      logger: new Logger(() => () => undefined),
      taskList: { insert: async (payload) => rows.insert((payload as { readonly value: number }).value) },
    });
    return {
      async round() {
        const done = rows.expect(JOBS);
        await utils.addJobs(Array.from({ length: JOBS }, (_, value) => ({ identifier: 'insert', payload: { value } })));
        await done;
      },
      async close() {
        await runner.stop();
        await utils.release();
        await rows.close();
      },
    };
  },
};

type Backend = 'PostgreSQL' | 'Redis';

async function startBullmq(databaseUrl: string, backend: Backend): Promise<Side> {
  await emptyTable(databaseUrl);
  const rows = new Rows(databaseUrl);
  setDefaultBackendFactory(backend === 'PostgreSQL' ? createPostgresBackend : undefined);
  const connection = (
    backend === 'PostgreSQL'
      ? { connectionString: databaseUrl, max: POOL_SIZE, migrate: true }
      : { url: process.env['REDIS_URL'], maxRetriesPerRequest: null }
  ) as never;
  const options = { connection, prefix: `bench_${process.pid}` };
  const queue = new Queue<number>('items', options);
  const worker = new Worker<number>('items', ({ data }) => rows.insert(data), { ...options, concurrency: POOL_SIZE });
  await worker.waitUntilReady();
  return {
    async round() {
      const done = rows.expect(JOBS);
      await queue.addBulk(Array.from({ length: JOBS }, (_, data) => ({ name: 'insert', data })));
      await done;
    },
    async close() {
      await worker.close();
      await queue.obliterate({ force: true });
      await queue.close();
      await rows.close();
    },
  };
}

function bullmqClaim(backend: Backend): Claim {
  return {
    title: queueClaim.title,
    peer: `BullMQ on ${backend} with the same insert, at least once`,
    ours: queueClaim.ours,
    theirs: (databaseUrl) => startBullmq(databaseUrl, backend),
    ...(backend === 'Redis' && {
      findMissing: () =>
        process.env['REDIS_URL'] === undefined ? 'REDIS_URL names no Redis to compare with.' : undefined,
    }),
  };
}

export const bullmqPostgresClaim = bullmqClaim('PostgreSQL');
export const bullmqRedisClaim = bullmqClaim('Redis');
