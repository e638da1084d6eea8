import { once } from 'node:events';

import { JobQueue } from 'nestjs-mikro-session/pg-boss';
import { Client } from 'pg';

import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { type DemoApp, type DemoOptions, startDemo } from './support/demo-app.js';
import { mostAtOnce } from './support/most-at-once.js';

// Who looks for jobs of dead processes does so every few seconds.
import.meta.jest.setTimeout(60_000);

describe('a run of the queue', () => {
  let database: TestDatabase;
  const demos: DemoApp[] = [];

  async function start(options?: DemoOptions): Promise<DemoApp> {
    const demo = await startDemo(database.url, options);
    demos.push(demo);
    return demo;
  }

  async function closeAll(): Promise<void> {
    await Promise.all(demos.splice(0).map(({ app }) => app.close()));
  }

  beforeEach(async () => {
    database = await createTestDatabase();
  });

  afterEach(async () => {
    await closeAll();
    await database.drop();
  });

  it('waits where nobody works the queue, which the health check shows', async () => {
    const { client } = await start({ work: false });
    const { body: run } = await client.start({ numbers: [11, 12, 13], engine: 'queue' });

    const health = await client.send<unknown>('/health');

    const depth = { ready: 3, active: 0, deferred: 0, failed: 0 };
    expect(health).toMatchObject({
      status: 200,
      body: { status: 'ok', details: { queue: { status: 'up', queues: { factorisations: depth } } } },
    });
    expect(await client.cancel(run.id)).toMatchObject({ status: 200, body: { state: 'cancelled', startedAt: null } });
  });

  it('runs no more jobs at once than it may, also when all lanes ask for one at the same moment', async () => {
    const { client } = await start({ work: false });
    const request = { from: 1, to: 12, engine: 'queue', concurrency: 1, simulate: { delayMs: 20 } };
    const { body: run } = await client.start(request);
    await database.query(`
      create function hold() returns trigger language plpgsql as
        $$ begin perform pg_advisory_xact_lock_shared(1); return new; end $$;
      create trigger hold before update on pgboss.job_common for each row
        when (new.state = 'active') execute function hold();
      select pg_advisory_lock(1)`);
    await start();
    await database.until(
      `select count(*) > 1 from pg_stat_activity where datname = current_database() and wait_event = 'advisory'`,
    );

    await database.query('select pg_advisory_unlock(1)');

    expect(await client.untilEnd(run.id)).toMatchObject({ state: 'done', done: 12 });
    expect(mostAtOnce((await client.results(run.id)).body.items)).toBe(1);
  });

  it('lets go of those who follow it when the application ends, and goes on with the next', async () => {
    const { app, client } = await start({ work: false });
    const { body: run } = await client.start({ numbers: [11, 12, 13], engine: 'queue' });
    const follow = (): Promise<Response> => fetch(`${client.url}/jobs/${run.id}/events`);
    const early = await readUntil(await follow(), 'event: progress');
    const request = once(app.getHttpServer(), 'request');
    const late = follow().then((response) => response.text());
    await request;

    await closeAll();
    const second = await start();

    expect(await early.next()).toEqual({ done: true, value: undefined });
    expect(await late).not.toContain('event: end');
    expect(await second.client.untilEnd(run.id)).toMatchObject({ id: run.id, state: 'done', done: 3, failed: 0 });
  });

  it('runs a job again whose process has died, and counts it as failed after several times', async () => {
    const { client } = await start({ work: false });
    const { body: run } = await client.start({ numbers: [11, 12, 13], engine: 'queue' });
    const die = (index: number, set: string): Promise<unknown> =>
      database.query(
        `update pgboss.job set state = 'active', started_on = now(), heartbeat_on = now() - interval '1 minute', ${set}
         where coalesce((data ->> 'index')::int, 0) = $1`,
        [index],
      );
    await die(0, 'retry_count = 0');
    await die(2, 'retry_count = retry_limit');

    await start();

    expect(await client.untilEnd(run.id)).toMatchObject({ state: 'done', done: 2, failed: 1 });
    const { body: results } = await client.results(run.id);
    expect(results.items.map(({ number, status }) => [number, status])).toEqual([
      [11, 'done'],
      [12, 'done'],
      [13, 'failed'],
    ]);
    expect(results.items[2]?.error).toMatch(/^Its job was given up after several attempts/);
  });

  it('stays as it is when it was cancelled before such a job is counted', async () => {
    const { app, client } = await start({ work: false });
    const { body: run } = await client.start({ numbers: [11], engine: 'queue' });
    const { body: cancelled } = await client.cancel(run.id);
    const info = { runId: run.id, failOn: [], delayMs: 0, concurrency: 4 };
    const lost = await app.get(JobQueue).send('lost-factorisations', 11, { info });

    await start();

    await database.until(`select state = 'completed' from pgboss.job where id = $1`, [lost]);
    expect((await client.find(run.id)).body).toEqual(cancelled);
    expect((await client.results(run.id)).body.total).toBe(0);
  });

  it('ends when its results are all there, also when those who made them died before they could tell', async () => {
    const { client } = await start();
    const run = await client.complete({ numbers: [11, 12, 13], engine: 'queue', simulate: { failOn: [12] } });

    await database.query(`update run set state = 'running', done = 0, failed = 0, finished_at = null`);

    expect(await client.untilEnd(run.id)).toEqual({ ...run, finishedAt: expect.any(String) });
  });

  it('ends once, when several processes notice at once', async () => {
    const [{ client }] = await Promise.all([start(), start()]);
    const run = await client.complete({ numbers: [11, 12, 13], engine: 'queue' });
    await database.query(`
      create table ending (state text);
      create function note() returns trigger language plpgsql as
        $$ begin insert into ending values (new.state); return new; end $$;
      create trigger note before update on run for each row
        when (old.finished_at is null and new.finished_at is not null) execute function note()`);
    const blocker = new Client({ connectionString: database.url });
    await blocker.connect();
    // In one message, so that nobody comes between.
    await blocker.query(
      `begin; update run set state = 'running', finished_at = null; commit; begin; select id from run for no key update`,
    );

    await database.until(
      `select count(*) = 2 from pg_stat_activity
       where datname = current_database() and wait_event_type = 'Lock' and query like '%update "run"%'`,
    );
    await blocker.end();

    expect(await client.untilEnd(run.id)).toMatchObject({ state: 'done', done: 3 });
    await closeAll();
    expect(await database.query('select state from ending')).toEqual([{ state: 'done' }]);
  });
});

/** Reads the body of an answer until it has a text. Gives the rest. */
async function readUntil({ body }: Response, text: string): Promise<AsyncIterator<string, unknown>> {
  const chunks = (body as ReadableStream<Uint8Array<ArrayBuffer>>).pipeThrough(new TextDecoderStream()).values();
  let read = '';
  while (!read.includes(text)) {
    const { done, value } = await chunks.next();
    if (done === true) {
      throw new Error(`The answer ended without "${text}": ${read}`);
    }
    read += value;
  }
  return chunks;
}
