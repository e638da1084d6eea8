import type { SendOptions } from 'nestjs-mikro-session/pg-boss';

import { Hold, untilHeld } from './support/hold.js';
import { TwoWorkers } from './support/two-workers.js';
import { HOLD } from './support/worker-app/effect-handler.js';

/** More than a test takes. */
const LONG = { expireInSeconds: 3_600 };

// The processes share the machine with other tests.
import.meta.jest.setTimeout(60_000);

describe.each([1, 10])('a worker that is frozen, with chunks of %i', (chunkSize) => {
  let two: TwoWorkers;

  beforeAll(async () => {
    two = await TwoWorkers.prepare();
  });

  beforeEach(() => two.start({ chunkSize }));

  afterEach(() => two.forget());

  afterAll(() => two.end());

  /** Sends a job, and freezes the worker that has written its effect. */
  async function freeze(options: SendOptions): Promise<{ readonly id: string; readonly frozen: string }> {
    const id = (await two.queue.send('effects', { key: 1, hold: 'lock' }, options)) ?? '';
    const frozen = await untilHeld(two.database);
    two.processes.get(frozen).kill('SIGSTOP');
    return { id, frozen };
  }

  it.each<[string, SendOptions, string | undefined]>([
    ['expired by the clock of all', { expireInSeconds: 1 }, undefined],
    ['expired by that of the server alone', LONG, `started_on = started_on - interval '2 hours'`],
    ['lost its heartbeat', { ...LONG, heartbeatSeconds: 600 }, `heartbeat_on = heartbeat_on - interval '2 hours'`],
  ])('does not double the effect of a job that %s', async (_how, options, aged) => {
    await using hold = await Hold.take(two.database.url);
    const { id, frozen } = await freeze(options);
    if (aged !== undefined) {
      await two.database.query(`update pgboss.job set ${aged}`);
    }
    await two.database.until(`select count(*) = 1 from pgboss.job where state = 'completed'`);

    await hold.release();
    two.processes.get(frozen).kill('SIGCONT');

    await two.untilDecided(frozen);
    if (aged !== undefined) {
      await two.processes.get(frozen).says(`The work on job ${id} of queue "effects" was rolled back`);
    }
    expect(await two.findEffects()).toEqual([{ input: 1, worker: two.other(frozen) }]);
    expect(await two.findJobs()).toEqual([{ state: 'completed' }]);
  });

  it('does not double the effect of a job that another is at', async () => {
    await using first = await Hold.take(two.database.url);
    await using second = await Hold.take(two.database.url, HOLD + 1);
    const { id, frozen } = await freeze(LONG);
    await two.database.query(`update pgboss.job set started_on = started_on - interval '2 hours'`);
    await untilHeld(two.database, HOLD + 1);

    await first.release();
    two.processes.get(frozen).kill('SIGCONT');

    await two.processes.get(frozen).says(`The work on job ${id} of queue "effects" was rolled back`);
    await two.untilDecided(frozen);
    expect(await two.findJobs()).toEqual([{ state: 'active' }]);
    await second.release();
    await two.database.until(`select count(*) = 1 from pgboss.job where state = 'completed'`);
    expect(await two.findEffects()).toEqual([{ input: 1, worker: two.other(frozen) }]);
  });

  it('leaves no effect of a job that was cancelled meanwhile', async () => {
    await using hold = await Hold.take(two.database.url);
    const { id, frozen } = await freeze(LONG);
    await two.queue.cancel('effects', id);

    await hold.release();
    two.processes.get(frozen).kill('SIGCONT');

    await two.processes.get(frozen).says(`The work on job ${id} of queue "effects" was rolled back`);
    await two.untilDecided(frozen);
    expect(await two.findEffects()).toEqual([]);
    expect(await two.findJobs()).toEqual([{ state: 'cancelled' }]);
  });

  it('does not double the effect of a job that was cancelled and resumed meanwhile', async () => {
    await using hold = await Hold.take(two.database.url);
    const { id, frozen } = await freeze(LONG);
    await two.queue.cancel('effects', id);
    await (await two.queue.boss()).resume('effects', id);
    await two.database.until(`select count(*) = 1 from pgboss.job where state = 'completed'`);

    await hold.release();
    two.processes.get(frozen).kill('SIGCONT');

    await two.processes.get(frozen).says(`The work on job ${id} of queue "effects" was rolled back`);
    await two.untilDecided(frozen);
    expect(await two.findEffects()).toEqual([{ input: 1, worker: two.other(frozen) }]);
  });
});
