import { JobQueue } from 'nestjs-mikro-session/pg-boss';

import { countEffects, untilCompleted } from './support/effects.js';
import { untilHeld } from './support/hold.js';
import { RestartableServer } from './support/restartable-server.js';
import { startSendingApp } from './support/sending-app.js';
import { WorkerProcesses } from './support/worker-processes.js';

const JOBS = 5_000;
const MIDDLE = JOBS / 2;

// Thousands of jobs, by processes that share the machine with other tests.
import.meta.jest.setTimeout(120_000);

describe('a restart of PostgreSQL', () => {
  let server: RestartableServer;
  let workers: WorkerProcesses;

  beforeAll(async () => {
    workers = await WorkerProcesses.compile();
    server = await RestartableServer.start();
  });

  afterEach(async () => {
    await workers.kill();
    await server.query('delete from pgboss.job');
    await server.query('delete from effect');
  });

  afterAll(async () => {
    await workers.remove();
    await server.remove();
  });

  it.each([1, 100])('loses no job and doubles no effect, in chunks of %i', async (chunkSize) => {
    const app = await startSendingApp(server.url);
    await app.get<JobQueue>(JobQueue).sendMany(
      'effects',
      Array.from({ length: JOBS }, (_, key) => (key === MIDDLE ? { key, hold: 'lock' as const } : { key })),
    );
    await app.app.close();
    await server.hold();
    await Promise.all(['one', 'two'].map((name) => workers.start({ name, chunkSize, databaseUrl: server.url })));
    await untilCompleted(server, MIDDLE - 500);
    await untilHeld(server);

    await server.restart();

    const [left] = await server.query(`select count(*) > 0 as is_middle from pgboss.job where state = 'created'`);
    expect(left).toEqual({ is_middle: true });
    await untilCompleted(server, JOBS);
    expect(await countEffects(server)).toEqual({ effects: JOBS, inputs: JOBS, workers: 2, completed: JOBS, other: 0 });
    const [middle] = await server.query('select attempt from effect where input = $1', [MIDDLE]);
    expect(middle).toEqual({ attempt: 2 });
  });
});
