import { JobQueue } from 'nestjs-mikro-session/pg-boss';

import type { NodeProcess } from '../support/node-process.js';
import type { TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { countEffects, untilCompleted } from './support/effects.js';
import { Hold, untilHeld } from './support/hold.js';
import { startSendingApp, startWorkingApp } from './support/sending-app.js';
import { type EffectInput, HOLD } from './support/worker-app/effect-handler.js';
import type { WorkerSettings } from './support/worker-app/worker-settings.js';
import { WorkerProcesses } from './support/worker-processes.js';

// The processes share the machine with other tests.
import.meta.jest.setTimeout(60_000);

describe('a worker with shutdown hooks that gets SIGTERM', () => {
  let database: TestDatabase;
  let app: TestApp;
  let workers: WorkerProcesses;
  const others: TestApp[] = [];

  beforeAll(async () => {
    database = await createTestDatabase();
    workers = await WorkerProcesses.compile();
    app = await startSendingApp(database.url);
  });

  afterEach(async () => {
    await workers.kill();
    await Promise.all(others.splice(0).map((other) => other.close()));
    await database.query('delete from pgboss.job');
    await database.query('delete from effect');
  });

  afterAll(async () => {
    await workers.remove();
    await app.close();
    await database.drop();
  });

  /** Jobs that may fail once, and take as long as they like: what comes back has not failed and not expired. */
  const complete = (settings: Partial<WorkerSettings>): WorkerSettings => ({
    name: 'one',
    chunkSize: 1,
    databaseUrl: database.url,
    policy: { expireInSeconds: 3_600, retryLimit: 0 },
    ...settings,
  });

  const start = (settings: Partial<WorkerSettings>): Promise<NodeProcess> => workers.start(complete(settings));

  /** Starts another worker, which need not be a process of its own. */
  async function startAnother(settings: Partial<WorkerSettings> = {}): Promise<void> {
    others.push(await startWorkingApp(complete({ name: 'two', ...settings })));
  }

  const send = (inputs: readonly EffectInput[]): Promise<number> =>
    app.get<JobQueue>(JobQueue).sendMany('effects', inputs);

  /** The keys of the jobs in each state. */
  async function findStates(): Promise<Record<string, number[]>> {
    const rows = await database.query<{ state: string; keys: number[] }>(
      `select state, array_agg((data -> 'input' -> 'key')::int order by data -> 'input' -> 'key') as keys
         from pgboss.job group by state`,
    );
    return Object.fromEntries(rows.map(({ state, keys }) => [state, keys]));
  }

  const findEffects = async (): Promise<number[]> =>
    (await database.query<{ input: number }>('select input from effect order by input')).map(({ input }) => input);

  it('lets running jobs end, begins no other, and ends', async () => {
    await using hold = await Hold.take(database.url);
    const worker = await start({ localConcurrency: 2 });
    await send([1, 2, 3, 4, 5, 6].map((key) => ({ key, hold: 'lock' })));
    await database.until(`select count(*) = 2 from pgboss.job where state = 'active'`);
    const { active = [], created } = await findStates();
    for (const key of active) {
      await worker.says(`held: ${key}\n`);
    }

    worker.kill('SIGTERM');

    for (const key of active) {
      await worker.says(`told to hurry: ${key}\n`);
    }
    await hold.release();
    expect(await worker.ended()).toBe('SIGTERM');
    expect(worker.errors).toBe('');
    expect(await findStates()).toEqual({ completed: active, created });
    expect(await findEffects()).toEqual(active);
    const [begun] = await database.query('select count(*)::int as count from pgboss.job where started_on is not null');
    expect(begun).toEqual({ count: 2 });
  });

  it('lets running chunks end', async () => {
    await using hold = await Hold.take(database.url);
    const worker = await start({ chunkSize: 3, localConcurrency: 1 });
    await send([1, 2, 3, 4].map((key) => ({ key, hold: 'lock' })));
    await untilHeld(database);
    const { active = [], created } = await findStates();

    worker.kill('SIGTERM');

    await worker.says('told to hurry: ');
    await hold.release();
    await worker.ended();
    expect(active).toHaveLength(3);
    expect(await findStates()).toEqual({ completed: active, created });
    expect(await findEffects()).toEqual(active);
  });

  it('lets the running one of several that it has fetched end, and gives the others back', async () => {
    await using hold = await Hold.take(database.url);
    const worker = await start({ prefetch: 10, localConcurrency: 1 });
    await send([1, 2, 3, 4].map((key) => ({ key, hold: 'lock' })));
    await untilHeld(database);

    worker.kill('SIGTERM');

    await worker.says('told to hurry: ');
    await hold.release();
    await worker.ended();
    const { completed = [], created = [], ...others } = await findStates();
    expect(completed).toHaveLength(1);
    expect(created).toHaveLength(3);
    expect(others).toEqual({});
    expect(await findEffects()).toEqual(completed);
  });

  it.each([1, 10])('gives back at once what it fetches too late, in chunks of %i', async (chunkSize) => {
    await send([{ key: 1 }]);
    await database.query('begin');
    await database.query('lock table pgboss.job in exclusive mode');
    const worker = await start({ chunkSize });
    await database.until(
      'select count(*) > 0 from pg_stat_activity where pg_backend_pid() = any(pg_blocking_pids(pid))',
    );

    worker.kill('SIGTERM');

    await worker.says('ending\n');
    await database.query('rollback');
    await worker.ended();
    expect(await findStates()).toEqual({ created: [1] });
    expect(await findEffects()).toEqual([]);
    const [begun] = await database.query('select started_on is not null as is_fetched from pgboss.job');
    expect(begun).toEqual({ is_fetched: true });
  });

  describe('when the time-out is over', () => {
    const shutdownTimeout = 200;

    /** Has another worker do what came back, and looks that it is all there once. */
    async function expectAnotherToFinish(jobs: number): Promise<void> {
      await startAnother();
      await untilCompleted(database, jobs);
      expect(await countEffects(database)).toMatchObject({ effects: jobs, inputs: jobs, completed: jobs });
    }

    it('cancels the statement on the server, and gives the job back, which has not failed', async () => {
      await using hold = await Hold.take(database.url);
      const worker = await start({ shutdownTimeout });
      await send([{ key: 1, hold: 'lock' }]);
      await untilHeld(database);

      worker.kill('SIGTERM');
      await worker.ended();

      // Its backend would wait for the lock until the end of time, and not know that nobody listens.
      await database.until(`select count(*) = 0 from pg_stat_activity
        where datname = current_database() and application_name = 'one'`);
      expect(await findStates()).toEqual({ created: [1] });
      expect(await findEffects()).toEqual([]);
      expect(worker.output).toContain('did not end within 200 ms of the shutdown');
      await hold.release();
      await expectAnotherToFinish(1);
    });

    it('does not wait for a handler that hears nothing', async () => {
      const worker = await start({ shutdownTimeout });
      await send([{ key: 1, hold: 'deaf' }]);
      await worker.says('held: 1\n');

      worker.kill('SIGTERM');

      expect(await worker.ended()).toBe('SIGTERM');
      expect(await findStates()).toEqual({ created: [1] });
      await expectAnotherToFinish(1);
    });

    it('wakes another worker for what it gives back', async () => {
      const settings = { shutdownTimeout, pollingIntervalSeconds: 3_600 };
      await Promise.all(['one', 'two'].map((name) => start({ ...settings, name })));
      await send([{ key: 1, hold: 'deaf' }]);
      const holder = `from pg_stat_activity where datname = current_database() and application_name in ('one', 'two')
        and xact_start is not null`;
      await database.until(`select count(*) = 1 ${holder}`);
      const [row] = await database.query<{ name: string }>(`select application_name as name ${holder}`);
      const worker = workers.get(row?.name ?? '');
      await worker.says('held: 1\n');

      worker.kill('SIGTERM');

      await untilCompleted(database, 1);
      expect(await findEffects()).toEqual([1]);
    });

    it.each([1, 10])('leaves a job alone that another has taken from it, in chunks of %i', async (chunkSize) => {
      const policy = { expireInSeconds: 3_600, retryLimit: 1, retryDelay: 0 };
      const worker = await start({ shutdownTimeout, chunkSize, policy, localConcurrency: 1 });
      await send([{ key: 1, hold: 'deaf' }]);
      await worker.says('held: 1\n');
      await using hold = await Hold.take(database.url, HOLD + 1);
      await startAnother({ chunkSize, policy });
      await database.query(`update pgboss.job set started_on = started_on - interval '2 hours'`);
      await untilHeld(database, HOLD + 1);

      worker.kill('SIGTERM');
      await worker.ended();

      expect(await findStates()).toEqual({ active: [1] });
      await hold.release();
      await untilCompleted(database, 1);
      expect(await database.query('select worker, attempt from effect')).toEqual([{ worker: 'two', attempt: 2 }]);
    });

    it('gives a whole chunk back', async () => {
      const worker = await start({ shutdownTimeout, chunkSize: 10, localConcurrency: 1 });
      await send([{ key: 1 }, { key: 2 }, { key: 3, hold: 'deaf' }, { key: 4 }]);
      await worker.says('held: 3\n');

      worker.kill('SIGTERM');
      await worker.ended();

      expect(await findStates()).toEqual({ created: [1, 2, 3, 4] });
      expect(await findEffects()).toEqual([]);
      await expectAnotherToFinish(4);
    });

    it('gives back what is left of a chunk that is run in parts, and keeps what is done', async () => {
      const worker = await start({ shutdownTimeout, chunkSize: 10, localConcurrency: 1 });
      // The order within a chunk is that of PostgreSQL. Whichever it is: a part without the second is completed, and
      // what comes after that is held.
      await send([1, 2, 3, 4].map((key) => (key === 2 ? { key, isRefused: true } : { key, hold: 'deaf later' })));
      await worker.says('held: ');

      worker.kill('SIGTERM');
      await worker.ended();

      const { completed, created, failed = [], ...others } = await findStates();
      expect(completed).toEqual(await findEffects());
      expect(completed).not.toEqual([]);
      expect(created).not.toEqual([]);
      expect(new Set([completed, created, failed].flat())).toEqual(new Set([1, 2, 3, 4]));
      expect(others).toEqual({});
      await startAnother();
      await database.until(`select count(*) = 4 from pgboss.job where state in ('completed', 'failed')`);
      expect(await findStates()).toEqual({ completed: [1, 3, 4], failed: [2] });
      expect(await findEffects()).toEqual([1, 3, 4]);
    });
  });
});
