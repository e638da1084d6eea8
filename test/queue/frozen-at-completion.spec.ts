import { Hold, untilHeld } from './support/hold.js';
import { TwoWorkers } from './support/two-workers.js';

/** What the completion of a job waits for that is to be held there. */
const COMPLETION = 4_800;

const CHUNKS = { chunkSize: 10 };

const ACTIVITY = 'from pg_stat_activity where datname = current_database()';

// The processes share the machine with other tests.
import.meta.jest.setTimeout(60_000);

describe('a worker that is frozen between the completion of a job and its commit', () => {
  let two: TwoWorkers;

  beforeAll(async () => {
    two = await TwoWorkers.prepare();
    await two.database.query(`
      create function hold_completion() returns trigger language plpgsql as $$
        begin perform pg_advisory_xact_lock_shared(${COMPLETION}); return null; end $$;
      create trigger hold_completion after update on pgboss.job for each row
        when (new.state = 'completed' and new.data -> 'input' ->> 'key' = '2')
        execute function hold_completion()`);
  });

  beforeEach(() => two.start(CHUNKS));

  afterEach(() => two.forget());

  afterAll(() => two.end());

  /** Freezes the worker where the server has completed its job, and it has not heard of that. */
  async function freezeAtCompletion(): Promise<string> {
    await using hold = await Hold.take(two.database.url, COMPLETION);
    await two.queue.send('effects', { key: 2 }, { expireInSeconds: 1 });
    const frozen = await untilHeld(two.database, COMPLETION);
    two.processes.get(frozen).kill('SIGSTOP');
    await hold.release();
    await two.database.until(
      `select count(*) = 1 ${ACTIVITY} and application_name = $1 and state = 'idle in transaction'`,
      [frozen],
    );
    return frozen;
  }

  /** Waits until the one who looks for expired jobs waits for the row. */
  const untilAwaited = (): Promise<void> =>
    two.database.until(`select count(*) > 0 ${ACTIVITY} and cardinality(pg_blocking_pids(pid)) > 0`);

  it('commits the effect that nobody else has begun', async () => {
    const frozen = await freezeAtCompletion();
    await untilAwaited();

    two.processes.get(frozen).kill('SIGCONT');

    await two.untilDecided(frozen);
    await two.database.until(`select count(*) = 0 ${ACTIVITY} and cardinality(pg_blocking_pids(pid)) > 0`);
    expect(await two.findEffects()).toEqual([{ input: 2, worker: frozen }]);
    expect(await two.findJobs()).toEqual([{ state: 'completed' }]);
  });

  it('leaves the job to another when it is killed', async () => {
    const frozen = await freezeAtCompletion();
    await untilAwaited();

    two.processes.get(frozen).kill('SIGKILL');

    await two.database.until(`select count(*) = 1 from pgboss.job where state = 'completed'`);
    expect(await two.findEffects()).toEqual([{ input: 2, worker: two.other(frozen) }]);
    expect(await two.findJobs()).toEqual([{ state: 'completed' }]);
  });

  it('is not waited for longer than the server lets a transaction be idle', async () => {
    await two.processes.kill();
    await two.database.query(`
      do $$ begin
        execute format('alter database %I set idle_in_transaction_session_timeout = 1000', current_database());
      end $$`);
    await two.start(CHUNKS);
    const frozen = await freezeAtCompletion();

    await two.database.until(`select count(*) = 1 from pgboss.job where state = 'completed'`);

    two.processes.get(frozen).kill('SIGCONT');
    await two.untilDecided(frozen);
    expect(await two.findEffects()).toEqual([{ input: 2, worker: two.other(frozen) }]);
  });
});
