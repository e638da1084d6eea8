import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import type { TestApp } from '../support/test-app.js';
import { JobQueue } from 'nestjs-mikro-session/pg-boss';

import { startSendingApp } from './support/sending-app.js';
import type { WorkerSettings } from './support/worker-app/worker-settings.js';
import { WorkerProcesses } from './support/worker-processes.js';

/** One attempt less than jobs lose that share each of their attempts with the culprit. */
const RETRY_LIMIT = 2;
const JOBS = 60;
const CULPRIT = 12;

// The processes share the machine with other tests.
import.meta.jest.setTimeout(120_000);

describe('a job that ends its process', () => {
  let database: TestDatabase;
  let processes: WorkerProcesses;
  let app: TestApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    processes = await WorkerProcesses.compile();
    app = await startSendingApp(database.url, { superviseIntervalSeconds: 1, monitorIntervalSeconds: 1 });
  });

  afterEach(async () => {
    await processes.kill();
    await database.query('delete from pgboss.job');
    await database.query('delete from effect');
  });

  afterAll(async () => {
    await processes.remove();
    await app.close();
    await database.drop();
  });

  it.each<['exit' | 'kill' | 'abort' | 'memory', Pick<WorkerSettings, 'chunkSize' | 'prefetch'>]>([
    ['exit', { chunkSize: 20 }],
    ['kill', { chunkSize: 1, prefetch: 10 }],
    ['abort', { chunkSize: 1 }],
    ['memory', { chunkSize: 10 }],
  ])('by %s uses up its own attempts, and no others, with %j', async (end, options) => {
    const queue = app.get<JobQueue>(JobQueue);
    const policy = { expireInSeconds: 600, retryLimit: RETRY_LIMIT, retryDelay: 0 };
    await queue.sendMany(
      'effects',
      Array.from({ length: JOBS }, (_, key) => (key === CULPRIT ? { key, end } : { key })),
      policy,
    );
    const settings: WorkerSettings = { name: 'one', databaseUrl: database.url, policy, ...options };

    for (let attempt = 0; attempt <= RETRY_LIMIT; attempt += 1) {
      const worker = await processes.start(settings);
      await worker.ended();
      // What it held expires now, which is looked at each second. Its last fetch may have been on its way.
      // What pg-boss has locked is left to it: two statements that update many jobs may wait for each other.
      await database.until(
        `with late as (
            update pgboss.job set started_on = started_on - interval '1 hour'
              where id in (select id from pgboss.job where state = 'active' for update skip locked)
          ) select count(*) = 0 from pgboss.job where state = 'active'`,
      );
    }
    await processes.start(settings);
    await database.until(`select count(*) = $1 from pgboss.job where state > 'active'`, [JOBS]);

    expect(await database.query(`select data -> 'input' as input from pgboss.job where state = 'failed'`)).toEqual([
      { input: { key: CULPRIT, end } },
    ]);
    expect(await database.query('select count(*)::int, count(distinct input)::int as inputs from effect')).toEqual([
      { count: JOBS - 1, inputs: JOBS - 1 },
    ]);
  });
});
