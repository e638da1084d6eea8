import { JobQueue } from 'nestjs-mikro-session/pg-boss';

import { NetworkProxy } from '../support/network-proxy.js';
import type { TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { Hold, untilHeld } from './support/hold.js';
import { startSendingApp, startWorkingApp } from './support/sending-app.js';
import { type EffectInput, HOLD } from './support/worker-app/effect-handler.js';

const CHUNK = 100;
/** As many as the lanes of a process hold at once. */
const LOST = 4 * CHUNK;
const FRESH = 150;
/** The lock of those that are tried again. */
const AGAIN = HOLD + 1;

import.meta.jest.setTimeout(60_000);

describe('jobs in large chunks whose process died', () => {
  let database: TestDatabase;
  let network: NetworkProxy;
  let sender: TestApp;
  let worker: TestApp | undefined;

  beforeAll(async () => {
    database = await createTestDatabase();
    network = await NetworkProxy.start(database.url);
    sender = await startSendingApp(database.url, { superviseIntervalSeconds: 1, monitorIntervalSeconds: 1 });
    await database.query('create table pgboss.fetched (id uuid)');
    await database.query(`create function note_fetch() returns trigger language plpgsql as
      $$ begin insert into pgboss.fetched values (new.id); return new; end $$`);
    await database.query(`create trigger note_fetch after update on pgboss.job for each row
      when (new.state = 'active' and old.state < 'active') execute function note_fetch()`);
  });

  afterEach(async () => {
    await worker?.close();
    worker = undefined;
    await database.query('delete from pgboss.job');
    await database.query('delete from effect');
  });

  afterAll(async () => {
    await sender.close();
    await network.close();
    await database.drop();
  });

  /** Sends jobs that a process fetches and dies of, and others after them. */
  async function lose(expireInSeconds: number, first: Partial<EffectInput> = {}): Promise<void> {
    const policy = { expireInSeconds, retryLimit: 20, retryDelay: 0 };
    const queue = sender.get<JobQueue>(JobQueue);
    const boss = await queue.boss();
    await queue.sendMany(
      'effects',
      Array.from({ length: LOST }, (_, key) => (key === 0 ? { key, ...first } : { key })),
      policy,
    );
    await boss.fetch('effects', { batchSize: LOST });
    await database.query(`update pgboss.job set started_on = started_on - interval '1 hour'`);
    await database.until(`select count(*) = 0 from pgboss.job where state = 'active'`);
    await queue.sendMany(
      'effects',
      Array.from({ length: FRESH }, (_, nth) => ({ key: LOST + nth })),
      policy,
    );
    await database.query('delete from pgboss.fetched');
  }

  async function work(): Promise<void> {
    worker = await startWorkingApp({ name: 'heir', databaseUrl: network.url, chunkSize: CHUNK });
  }

  const untilDone = (count: number): Promise<void> =>
    database.until(`select count(*) = $1 from pgboss.job where state = 'completed'`, [count]);

  it('are looked at together, and fetched a few times', async () => {
    // So soon that it tells when a lane holds them for long.
    await lose(2);
    let looks = 0;
    const counted = network.each('statement', /^\s*select[^;]*from pgboss\.job/i, () => (looks += 1));

    await work();
    await untilDone(LOST + FRESH);

    counted();
    const [fetched] = await database.query<{ count: number }>('select count(*)::int from pgboss.fetched');
    expect(fetched?.count).toBeLessThan(3 * (LOST + FRESH));
    expect(looks).toBeLessThan(LOST / 4);
  });

  it('do not keep those that come after them waiting', async () => {
    await lose(600, { hold: 'lock' });
    await using hold = await Hold.take(database.url, AGAIN);
    await work();
    await untilHeld(database, AGAIN);

    await database.until('select count(*) = $2 from effect where input >= $1', [LOST, FRESH]);

    const [held] = await database.query(`select state from pgboss.job where data -> 'input' ->> 'hold' = 'lock'`);
    expect(held).toEqual({ state: 'active' });
    await hold.release();
    await untilDone(LOST + FRESH);
  });
});
