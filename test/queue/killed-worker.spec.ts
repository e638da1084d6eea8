import { countEffects, untilCompleted } from './support/effects.js';
import { Hold, untilHeld } from './support/hold.js';
import { TwoWorkers } from './support/two-workers.js';

// Thousands of jobs, by processes that share the machine with other tests.
import.meta.jest.setTimeout(300_000);

describe('a worker that is killed', () => {
  let two: TwoWorkers;

  beforeAll(async () => {
    two = await TwoWorkers.prepare();
  });

  afterEach(async () => {
    await two.processes.kill();
    await two.forget();
  });

  afterAll(() => two.end());

  it.each([
    [500, { chunkSize: 1 }],
    [500, { chunkSize: 1, prefetch: 10 }],
    [2_000, { chunkSize: 100 }],
  ])('loses none of %i jobs and doubles no effect, with %j', async (jobs, options) => {
    const middle = 0.3 * jobs;
    await using hold = await Hold.take(two.database.url);
    await two.start(options);
    await two.queue.sendMany(
      'effects',
      // On a slow machine, an attempt may expire before it comes to the lock.
      Array.from({ length: jobs }, (_, key) => (key === middle ? { key, hold: 'same lock' as const } : { key })),
    );
    // Four lanes hold a chunk each, and the one in the middle is held for two seconds.
    await untilCompleted(two.database, 0.8 * middle - 4 * options.chunkSize);
    const victim = await untilHeld(two.database);

    two.processes.get(victim).kill('SIGKILL');
    await two.processes.get(victim).ended();

    const [left] = await two.database.query(`select count(*) > 0 as is_middle from pgboss.job where state = 'created'`);
    expect(left).toEqual({ is_middle: true });
    await hold.release();
    await untilCompleted(two.database, jobs);
    expect(await countEffects(two.database)).toEqual({
      effects: jobs,
      inputs: jobs,
      completed: jobs,
      other: 0,
    });
    const [held] = await two.database.query('select worker, attempt > 1 as is_again from effect where input = $1', [
      middle,
    ]);
    expect(held).toEqual({ worker: two.other(victim), is_again: true });
  });
});
