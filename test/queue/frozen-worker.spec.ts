import { JobQueue, type SendOptions } from 'nestjs-mikro-session/pg-boss';

import type { TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { Hold, untilHeld } from './support/hold.js';
import { startSendingApp } from './support/sending-app.js';
import { HOLD } from './support/worker-app/effect-handler.js';
import { WorkerProcesses } from './support/worker-processes.js';

/** What the completion of a job waits for that is to be held there. */
const COMPLETION = 4_800;

/** More than a test takes. */
const LONG = { expireInSeconds: 3_600 };

const ACTIVITY = 'from pg_stat_activity where datname = current_database()';

// The processes share the machine with other tests.
import.meta.jest.setTimeout(60_000);

describe.each([1, 10])('a worker that is frozen, with chunks of %i', (chunkSize) => {
  let database: TestDatabase;
  let app: TestApp;
  let queue: JobQueue;
  let workers: WorkerProcesses;
  const names = ['one', 'two'];

  beforeAll(async () => {
    database = await createTestDatabase();
    workers = await WorkerProcesses.compile();
    app = await startSendingApp(database.url);
    queue = app.get(JobQueue);
    await database.query(`
      create function hold_completion() returns trigger language plpgsql as $$
        begin perform pg_advisory_xact_lock_shared(${COMPLETION}); return null; end $$;
      create trigger hold_completion after update on pgboss.job for each row
        when (new.state = 'completed' and new.data -> 'input' ->> 'key' = '2')
        execute function hold_completion()`);
  });

  beforeEach(() => Promise.all(names.map((name) => workers.ensure({ name, chunkSize, databaseUrl: database.url }))));

  afterEach(async () => {
    await database.query('delete from pgboss.job');
    await database.query('delete from effect');
  });

  afterAll(async () => {
    await workers.kill();
    await workers.remove();
    await app.app.close();
    await database.drop();
  });

  const other = (name: string): string => (name === 'one' ? 'two' : 'one');

  const findEffects = (): Promise<unknown[]> => database.query('select input, worker from effect order by id');

  const findJobs = (): Promise<unknown[]> => database.query('select state from pgboss.job');

  /** Waits until no session of a process is in a transaction: it has decided. */
  const untilDecided = (name: string): Promise<void> =>
    database.until(`select count(*) = 0 ${ACTIVITY} and application_name = $1 and xact_start is not null`, [name]);

  /** Sends a job, and freezes the worker that has written its effect. */
  async function freeze(options: SendOptions): Promise<{ readonly id: string; readonly frozen: string }> {
    const id = (await queue.send('effects', { key: 1, hold: 'lock' }, options)) ?? '';
    const frozen = await untilHeld(database);
    workers.get(frozen).kill('SIGSTOP');
    return { id, frozen };
  }

  it.each<[string, SendOptions, string | undefined]>([
    ['expired by the clock of all', { expireInSeconds: 1 }, undefined],
    ['expired by that of the server alone', LONG, `started_on = started_on - interval '2 hours'`],
    ['lost its heartbeat', { ...LONG, heartbeatSeconds: 600 }, `heartbeat_on = heartbeat_on - interval '2 hours'`],
  ])('does not double the effect of a job that %s', async (_how, options, aged) => {
    await using hold = await Hold.take(database.url);
    const { id, frozen } = await freeze(options);
    if (aged !== undefined) {
      await database.query(`update pgboss.job set ${aged}`);
    }
    await database.until(`select count(*) = 1 from pgboss.job where state = 'completed'`);

    await hold.release();
    workers.get(frozen).kill('SIGCONT');

    await untilDecided(frozen);
    if (aged !== undefined) {
      await workers.get(frozen).says(`The work on job ${id} of queue "effects" was rolled back`);
    }
    expect(await findEffects()).toEqual([{ input: 1, worker: other(frozen) }]);
    expect(await findJobs()).toEqual([{ state: 'completed' }]);
  });

  it('does not double the effect of a job that another is at', async () => {
    await using first = await Hold.take(database.url);
    await using second = await Hold.take(database.url, HOLD + 1);
    const { id, frozen } = await freeze(LONG);
    await database.query(`update pgboss.job set started_on = started_on - interval '2 hours'`);
    await untilHeld(database, HOLD + 1);

    await first.release();
    workers.get(frozen).kill('SIGCONT');

    await workers.get(frozen).says(`The work on job ${id} of queue "effects" was rolled back`);
    await untilDecided(frozen);
    expect(await findJobs()).toEqual([{ state: 'active' }]);
    await second.release();
    await database.until(`select count(*) = 1 from pgboss.job where state = 'completed'`);
    expect(await findEffects()).toEqual([{ input: 1, worker: other(frozen) }]);
  });

  it('leaves no effect of a job that was cancelled meanwhile', async () => {
    await using hold = await Hold.take(database.url);
    const { id, frozen } = await freeze(LONG);
    await queue.cancel('effects', id);

    await hold.release();
    workers.get(frozen).kill('SIGCONT');

    await workers.get(frozen).says(`The work on job ${id} of queue "effects" was rolled back`);
    await untilDecided(frozen);
    expect(await findEffects()).toEqual([]);
    expect(await findJobs()).toEqual([{ state: 'cancelled' }]);
  });

  it('does not double the effect of a job that was cancelled and resumed meanwhile', async () => {
    await using hold = await Hold.take(database.url);
    const { id, frozen } = await freeze(LONG);
    await queue.cancel('effects', id);
    await (await queue.boss()).resume('effects', id);
    await database.until(`select count(*) = 1 from pgboss.job where state = 'completed'`);

    await hold.release();
    workers.get(frozen).kill('SIGCONT');

    await workers.get(frozen).says(`The work on job ${id} of queue "effects" was rolled back`);
    await untilDecided(frozen);
    expect(await findEffects()).toEqual([{ input: 1, worker: other(frozen) }]);
  });

  describe('between the completion and its commit', () => {
    /** Freezes the worker where the server has completed its job, and it has not heard of that. */
    async function freezeAtCompletion(): Promise<string> {
      await using hold = await Hold.take(database.url, COMPLETION);
      await queue.send('effects', { key: 2 }, { expireInSeconds: 1 });
      const frozen = await untilHeld(database, COMPLETION);
      workers.get(frozen).kill('SIGSTOP');
      await hold.release();
      await database.until(
        `select count(*) = 1 ${ACTIVITY} and application_name = $1 and state = 'idle in transaction'`,
        [frozen],
      );
      return frozen;
    }

    /** Waits until the one who looks for expired jobs waits for the row. */
    const untilAwaited = (): Promise<void> =>
      database.until(`select count(*) > 0 ${ACTIVITY} and cardinality(pg_blocking_pids(pid)) > 0`);

    it('commits the effect that nobody else has begun', async () => {
      const frozen = await freezeAtCompletion();
      await untilAwaited();

      workers.get(frozen).kill('SIGCONT');

      await untilDecided(frozen);
      await database.until(`select count(*) = 0 ${ACTIVITY} and cardinality(pg_blocking_pids(pid)) > 0`);
      expect(await findEffects()).toEqual([{ input: 2, worker: frozen }]);
      expect(await findJobs()).toEqual([{ state: 'completed' }]);
    });

    it('leaves the job to another when it is killed', async () => {
      const frozen = await freezeAtCompletion();
      await untilAwaited();

      workers.get(frozen).kill('SIGKILL');

      await database.until(`select count(*) = 1 from pgboss.job where state = 'completed'`);
      expect(await findEffects()).toEqual([{ input: 2, worker: other(frozen) }]);
      expect(await findJobs()).toEqual([{ state: 'completed' }]);
    });

    it('is not waited for longer than the server lets a transaction be idle', async () => {
      await workers.kill();
      await database.query(`
        do $$ begin
          execute format('alter database %I set idle_in_transaction_session_timeout = 1000', current_database());
        end $$`);
      await Promise.all(names.map((name) => workers.start({ name, chunkSize, databaseUrl: database.url })));
      const frozen = await freezeAtCompletion();

      await database.until(`select count(*) = 1 from pgboss.job where state = 'completed'`);

      workers.get(frozen).kill('SIGCONT');
      await untilDecided(frozen);
      expect(await findEffects()).toEqual([{ input: 2, worker: other(frozen) }]);
    });
  });
});
