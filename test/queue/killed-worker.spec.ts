import { JobQueue } from 'nestjs-mikro-session/pg-boss';

import type { TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { countEffects, untilCompleted } from './support/effects.js';
import { Hold, untilHeld } from './support/hold.js';
import { startSendingApp } from './support/sending-app.js';
import { WorkerProcesses } from './support/worker-processes.js';

// Thousands of jobs, by processes that share the machine with other tests.
import.meta.jest.setTimeout(300_000);

describe('a worker that is killed', () => {
  let database: TestDatabase;
  let app: TestApp;
  let workers: WorkerProcesses;

  beforeAll(async () => {
    database = await createTestDatabase();
    workers = await WorkerProcesses.compile();
    app = await startSendingApp(database.url);
  });

  afterEach(async () => {
    await workers.kill();
    await database.query('delete from pgboss.job');
    await database.query('delete from effect');
  });

  afterAll(async () => {
    await workers.remove();
    await app.app.close();
    await database.drop();
  });

  it.each([
    [5_000, { chunkSize: 1 }],
    [1_000, { chunkSize: 1, prefetch: 10 }],
    [5_000, { chunkSize: 100 }],
  ])('loses none of %i jobs and doubles no effect, with %j', async (jobs, options) => {
    const middle = jobs / 2;
    await using hold = await Hold.take(database.url);
    await Promise.all(['one', 'two'].map((name) => workers.start({ name, ...options, databaseUrl: database.url })));
    await app.get<JobQueue>(JobQueue).sendMany(
      'effects',
      Array.from({ length: jobs }, (_, key) => (key === middle ? { key, hold: 'lock' as const } : { key })),
    );
    await untilCompleted(database, 0.8 * middle);
    const victim = await untilHeld(database);

    workers.get(victim).kill('SIGKILL');
    await workers.get(victim).ended();

    const [left] = await database.query(`select count(*) > 0 as is_middle from pgboss.job where state = 'created'`);
    expect(left).toEqual({ is_middle: true });
    await hold.release();
    await untilCompleted(database, jobs);
    expect(await countEffects(database)).toEqual({
      effects: jobs,
      inputs: jobs,
      completed: jobs,
      other: 0,
    });
    const [held] = await database.query('select worker, attempt > 1 as is_again from effect where input = $1', [
      middle,
    ]);
    expect(held).toEqual({ worker: victim === 'one' ? 'two' : 'one', is_again: true });
  });
});
