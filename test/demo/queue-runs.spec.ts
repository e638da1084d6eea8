import { CapturedLog } from '../support/captured-log.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { type DemoApp, startDemo } from './support/demo-app.js';
import type { JobsClient } from './support/jobs-client.js';
import { mostAtOnce } from './support/most-at-once.js';

// A thousand jobs take their time on a busy machine.
import.meta.jest.setTimeout(90_000);

describe('a run of the queue', () => {
  let database: TestDatabase;
  let demo: DemoApp;
  let client: JobsClient;

  beforeAll(async () => {
    database = await createTestDatabase();
    demo = await startDemo(database.url);
    client = demo.client;
  });

  afterAll(async () => {
    await demo.close();
    await database.drop();
  });

  const untilRunning = (id: string): Promise<void> =>
    database.until(`select state = 'running' from run where id = $1`, [id]);

  it('is accepted like any other', async () => {
    const { status, headers, body } = await client.start({ numbers: [12, 97, 360], engine: 'queue' });

    expect(status).toBe(202);
    expect(body).toMatchObject({ engine: 'queue', state: 'pending', total: 3, done: 0, failed: 0, startedAt: null });
    expect(headers.get('location')).toBe(`/jobs/${body.id}`);
    expect(await client.untilEnd(body.id)).toMatchObject({ state: 'done', done: 3, failed: 0 });
  });

  it('gives each of a thousand jobs a session of its own, none that of the request, and keeps the order', async () => {
    const run = await client.complete({ from: 1, to: 1_000, concurrency: 8, engine: 'queue' });

    const { body } = await client.results(run.id);
    expect(run).toMatchObject({ engine: 'queue', state: 'done', total: 1_000, done: 1_000, failed: 0 });
    expect(body.items.map(({ index, number }) => [index, number])).toEqual(
      Array.from({ length: 1_000 }, (_, index) => [index, index + 1]),
    );
    const sessions = new Set(body.items.map(({ sessionId }) => sessionId));
    expect(sessions.size).toBe(1_000);
    expect(sessions).not.toContain(run.requestSessionId);
  });

  it('tells how far it has come, how fast it goes, then its end once, and then the stream ends', async () => {
    const { body: started } = await client.start({
      from: 1,
      to: 100,
      engine: 'queue',
      simulate: { failOn: [7], delayMs: 150 },
    });

    const events = await client.events(started.id);

    const progress = events.filter(({ type }) => type === 'progress').map(({ data }) => data);
    const counts = progress.map(({ done, failed }) => done + failed);
    const paces = progress.filter(({ rate }) => rate !== undefined);
    expect(events.map(({ type }) => type)).toEqual([...progress.map(() => 'progress'), 'end']);
    expect(progress.length).toBeGreaterThan(2);
    expect(counts).toEqual(counts.toSorted((a, b) => a - b));
    expect(paces.every(({ rate = 0, timeLeft }) => rate > 0 && timeLeft !== undefined)).toBe(true);
    expect(progress.at(-1)).toMatchObject({ state: 'done', done: 99, failed: 1, total: 100, timeLeft: 0 });
    expect(events.at(-1)?.data).toEqual((await client.find(started.id)).body);
    expect(await client.events(started.id)).toEqual([events.at(-1)]);
  });

  it('rolls back the job that fails, does not try it again, and lists it with its reason', async () => {
    const run = await client.complete({ numbers: [96, 97, 98], engine: 'queue', simulate: { failOn: [97] } });

    const { body } = await client.results(run.id);
    expect(run).toMatchObject({ state: 'done', total: 3, done: 2, failed: 1 });
    expect(body.items.map(({ number, status }) => [number, status])).toEqual([
      [96, 'done'],
      [97, 'failed'],
      [98, 'done'],
    ]);
    expect(body.items[1]).toMatchObject({ factors: null, error: 'Told to fail on 97', sessionId: null });
    expect(await database.query('select distinct state::text, retry_count from pgboss.job')).toEqual([
      { state: 'completed', retry_count: 0 },
    ]);
  });

  it('tells how far it has come while it runs', async () => {
    const { body: started } = await client.start({ from: 1, to: 400, engine: 'queue', simulate: { delayMs: 50 } });
    await database.until('select count(*) >= 8 from factorisation where run_id = $1', [started.id]);

    const { body: found } = await client.find(started.id);
    const { body: page } = await client.list();

    const listed = page.items.find(({ id }) => id === started.id);
    for (const run of [found, listed]) {
      expect(run).toMatchObject({ state: 'running', total: 400, failed: 0, finishedAt: null });
      expect(run?.done).toBeGreaterThanOrEqual(8);
      expect(run?.done).toBeLessThan(400);
    }
    await client.cancel(started.id);
  });

  it('runs as many jobs at once as it may, and never more', async () => {
    const request = { from: 1, to: 24, engine: 'queue', simulate: { delayMs: 40 } };
    const runs = await Promise.all([
      client.complete({ ...request, concurrency: 1 }),
      client.complete({ ...request, concurrency: 3 }),
    ]);

    const results = await Promise.all(runs.map(({ id }) => client.results(id)));
    expect(results.map(({ body }) => mostAtOnce(body.items))).toEqual([1, 3]);
  });

  it('takes turns with another that is longer', async () => {
    const { body: first } = await client.start({
      from: 1,
      to: 800,
      engine: 'queue',
      concurrency: 8,
      simulate: { delayMs: 40 },
    });
    await database.until(`select count(*) = 8 from pgboss.job where state = 'active' and group_id = $1`, [first.id]);

    const second = await client.complete({ numbers: [12, 97, 360], engine: 'queue' });

    const { status } = await client.cancel(first.id);
    expect(second).toMatchObject({ state: 'done', done: 3 });
    expect(status).toBe(200);
  });

  it('leaves lanes to other runs', async () => {
    const slow = { from: 1, to: 100, engine: 'queue', concurrency: 1, simulate: { delayMs: 10_000 } };
    const { body: first } = await client.start(slow);
    await untilRunning(first.id);

    const second = await client.complete({ numbers: [12], engine: 'queue' });

    const { body: run } = await client.cancel(first.id);
    expect(second).toMatchObject({ state: 'done', done: 1 });
    expect(run).toMatchObject({ state: 'cancelled', done: 0 });
  });

  it('stores when each job began and ended', async () => {
    const run = await client.complete({ numbers: [6], engine: 'queue', simulate: { delayMs: 20 } });

    const [result] = (await client.results(run.id)).body.items;
    const times = [run.createdAt, run.startedAt, result?.startedAt, result?.finishedAt, run.finishedAt].map((time) =>
      Date.parse(time ?? ''),
    );
    expect(times.toSorted((a, b) => a - b)).toEqual(times);
    expect((times[3] ?? 0) - (times[2] ?? 0)).toBeGreaterThanOrEqual(19);
  });

  describe('that is cancelled', () => {
    it('keeps what was committed, rolls back what runs, and starts no other job', async () => {
      using log = new CapturedLog();
      const delayMs = 10_000;
      const { body: started } = await client.start({
        from: 1,
        to: 100,
        engine: 'queue',
        concurrency: 8,
        simulate: { delayMs },
      });
      const events = client.events(started.id);
      await database.until(`select count(*) = 8 from pgboss.job where state = 'active' and group_id = $1`, [
        started.id,
      ]);
      await untilRunning(started.id);

      const { status, body: run } = await client.cancel(started.id);

      expect(status).toBe(200);
      expect(run).toMatchObject({ id: started.id, state: 'cancelled', total: 100, done: 0, failed: 0 });
      expect((await events).at(-1)).toEqual({ type: 'end', data: run });
      const next = await client.complete({ numbers: [12], engine: 'queue' });
      // Its jobs have let go of their lanes before their delay was over, and before pg-boss itself told them.
      expect(Date.parse(next.startedAt ?? '') - Date.parse(run.startedAt ?? '')).toBeLessThan(4_000);
      await database.until(
        `select count(*) = 0 from pg_stat_activity where datname = current_database() and state = 'idle in transaction'`,
      );
      expect((await client.results(started.id)).body.total).toBe(0);
      expect((await client.find(started.id)).body).toEqual(run);
      expect(await findStates(started.id)).toEqual(['cancelled']);
      expect([...log.warnings, ...log.errors]).toEqual([]);
    });

    it('stays as it is when it has ended before', async () => {
      const run = await client.complete({ numbers: [12], engine: 'queue' });

      const { status, body } = await client.cancel<unknown>(run.id);

      expect(status).toBe(409);
      expect(body).toMatchObject({ message: `The run "${run.id}" cannot be cancelled: it is done already.` });
      expect((await client.find(run.id)).body).toEqual(run);
    });

    it('is so for one client, when two ask at once', async () => {
      const { body: started } = await client.start({
        from: 1,
        to: 100,
        engine: 'queue',
        simulate: { delayMs: 10_000 },
      });

      const answers = await Promise.all([client.cancel(started.id), client.cancel(started.id)]);

      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 409]));
      expect((await client.find(started.id)).body).toMatchObject({ state: 'cancelled' });
    });
  });

  const findStates = async (id: string): Promise<string[]> => {
    const rows = await database.query<{ state: string }>('select distinct state from pgboss.job where group_id = $1', [
      id,
    ]);
    return rows.map(({ state }) => state);
  };

  it('is stored with all its jobs, or not at all', async () => {
    const { body: run } = await client.start({ from: 1, to: 1_500, engine: 'queue', simulate: { delayMs: 10_000 } });
    const before = await countAll();
    await database.query(`
      create function refuse() returns trigger language plpgsql as $$ begin raise exception 'told to fail'; end $$`);

    await database.query(`
      create trigger refuse before insert on pgboss.job_common for each row
      when ((new.data ->> 'index')::int = 1400) execute function refuse()`);
    const inTheMiddle = await client.start({ from: 1, to: 1_500, engine: 'queue' });
    await database.query('drop trigger refuse on pgboss.job_common');
    await database.query(`
      create constraint trigger refuse after insert on run deferrable initially deferred
      for each row execute function refuse()`);
    const atTheCommit = await client.start({ from: 1, to: 1_500, engine: 'queue' });
    await database.query('drop trigger refuse on run');

    expect(before).toEqual({ runs: expect.any(Number), jobs: expect.any(Number), sent: 1_500 });
    expect([inTheMiddle.status, atTheCommit.status]).toEqual([500, 500]);
    expect(await countAll()).toEqual(before);
    await client.cancel(run.id);

    async function countAll(): Promise<unknown> {
      const [counts] = await database.query(
        `select (select count(*)::int from run) as runs, (select count(*)::int from pgboss.job) as jobs,
           (select count(*)::int from pgboss.job where group_id = $1) as sent`,
        [run.id],
      );
      return counts;
    }
  });
});
