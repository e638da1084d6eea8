import { JobQueue } from 'nestjs-mikro-session/pg-boss';

import { countEffects, untilCompleted } from './support/effects.js';
import { untilHeld } from './support/hold.js';
import { RestartableServer } from './support/restartable-server.js';
import { startSendingApp } from './support/sending-app.js';
import type { EffectInput } from './support/worker-app/effect-handler.js';
import { WorkerProcesses } from './support/worker-processes.js';

// Thousands of jobs, by processes that share the machine with other tests.
import.meta.jest.setTimeout(300_000);

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

  const names = ['one', 'two'];

  async function send(inputs: readonly EffectInput[]): Promise<void> {
    const app = await startSendingApp(server.url);
    await app.get<JobQueue>(JobQueue).sendMany('effects', inputs);
    await app.close();
  }

  it.each([
    [500, 1],
    [2_000, 25],
  ])('loses none of %i jobs and doubles no effect, in chunks of %i', async (jobs, chunkSize) => {
    const middle = 0.3 * jobs;
    await send(Array.from({ length: jobs }, (_, key) => (key === middle ? { key, hold: 'lock' } : { key })));
    await server.hold();
    await Promise.all(names.map((name) => workers.start({ name, chunkSize, databaseUrl: server.url })));
    await untilCompleted(server, 0.8 * middle);
    await untilHeld(server);

    await server.restart();

    const [left] = await server.query(`select count(*) > 0 as is_middle from pgboss.job where state = 'created'`);
    expect(left).toEqual({ is_middle: true });
    await untilCompleted(server, jobs);
    expect(await countEffects(server)).toEqual({ effects: jobs, inputs: jobs, completed: jobs, other: 0 });
    const [held] = await server.query('select attempt > 1 as is_again from effect where input = $1', [middle]);
    expect(held).toEqual({ is_again: true });
  });

  it('leaves each worker at work, in as many lanes as before', async () => {
    await Promise.all(names.map((name) => workers.start({ name, chunkSize: 1, databaseUrl: server.url })));

    await server.restart();

    await server.hold();
    const lanes = Array.from({ length: 8 }, (_, key) => ({ key, hold: 'lock' as const }));
    await send(lanes);
    await server.until(`select count(*) = 8 and count(distinct application_name) = 2
      from pg_stat_activity where wait_event = 'advisory' and application_name in ('one', 'two')`);
    await server.query('select pg_advisory_unlock_all()');
    await untilCompleted(server, lanes.length);
    expect(await countEffects(server)).toMatchObject({ effects: 8, inputs: 8, completed: 8 });
  });
});
