import { PgBoss } from 'pg-boss';
import { type ClientBase, Pool } from 'pg';

import { emptyTable, POOL_SIZE } from './applications.ts';
import type { Side } from './claim.ts';

const QUEUE = 'items';
const BATCH = 1_000;

/** Starts pg-boss as a user does who has no sessions, in a schema of its own, beside an empty table. */
export async function startBoss(databaseUrl: string): Promise<PgBoss> {
  await emptyTable(databaseUrl);
  const boss = new PgBoss({ connectionString: databaseUrl, schema: 'pgboss_by_hand', max: POOL_SIZE });
  boss.on('error', (error) => {
    throw error;
  });
  await boss.start();
  await boss.createQueue(QUEUE);
  return boss;
}

/** Sends jobs in batches. */
export async function insertJobs(boss: PgBoss, count: number): Promise<void> {
  for (let start = 0; start < count; start += BATCH) {
    const length = Math.min(BATCH, count - start);
    await boss.insert(
      QUEUE,
      Array.from({ length }, (_, nth) => ({ data: { input: start + nth } })),
    );
  }
}

/** Fetches, inserts a row, completes and commits with raw SQL, in as many loops as there are connections. */
export async function workByHand(jobs: number, databaseUrl: string): Promise<Side> {
  const boss = await startBoss(databaseUrl);
  const pool = new Pool({ connectionString: databaseUrl, min: POOL_SIZE, max: POOL_SIZE });
  return {
    async round() {
      await insertJobs(boss, jobs);
      await Promise.all(Array.from({ length: POOL_SIZE }, () => work(boss, pool)));
    },
    async close() {
      await pool.end();
      await boss.stop();
    },
  };
}

async function work(boss: PgBoss, pool: Pool): Promise<void> {
  for (let [job] = await boss.fetch<{ input: number }>(QUEUE); job !== undefined; [job] = await boss.fetch(QUEUE)) {
    const client = await pool.connect();
    const { id, retryCount, data } = job;
    await client.query('begin');
    await client.query('insert into "item" ("value") values ($1)', [data.input]);
    const settled = await boss.complete(QUEUE, { id, retryCount }, null, { db: { executeSql: execute(client) } });
    // The claim may be gone: then another has done the job.
    await client.query((settled as { affected: number }).affected === 1 ? 'commit' : 'rollback');
    client.release();
  }
}

function execute(client: ClientBase): (text: string, values?: unknown[]) => Promise<{ rows: object[] }> {
  return (text, values) => client.query(text, values);
}
