import { SessionContext } from 'nestjs-mikro-session';
import { Client } from 'pg';

import { createApp } from '../../src/create-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { type DemoApp, startDemo } from './support/demo-app.js';
import { JobsClient, type RunJson } from './support/jobs-client.js';

// A thousand jobs take their time on a busy machine.
import.meta.jest.setTimeout(30_000);

const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;

describe('RunsController', () => {
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

  it('accepts a run and tells where it is', async () => {
    const { status, headers, body } = await client.start({ numbers: [12, 97, 360] });

    expect(status).toBe(202);
    expect(body).toEqual({
      id: expect.stringMatching(UUID),
      engine: 'process',
      state: 'pending',
      total: 3,
      done: 0,
      failed: 0,
      concurrency: 4,
      requestSessionId: expect.stringMatching(UUID),
      createdAt: expect.any(String),
      startedAt: null,
      finishedAt: null,
    });
    expect(headers.get('location')).toBe(`/jobs/${body.id}`);
    await client.untilEnd(body.id);
  });

  it('factorises a list of numbers and keeps its order', async () => {
    const { id } = await client.complete({ numbers: [12, 97, 1, 99_999_999_977, 360, 100_000_000_000] });

    const { body } = await client.results(id);
    expect(body.items.map(({ index, number, factors, status }) => ({ index, number, factors, status }))).toEqual([
      { index: 0, number: 12, factors: [2, 2, 3], status: 'done' },
      { index: 1, number: 97, factors: [97], status: 'done' },
      { index: 2, number: 1, factors: [], status: 'done' },
      { index: 3, number: 99_999_999_977, factors: [99_999_999_977], status: 'done' },
      { index: 4, number: 360, factors: [2, 2, 2, 3, 3, 5], status: 'done' },
      {
        index: 5,
        number: 100_000_000_000,
        factors: [...Array<number>(11).fill(2), ...Array<number>(11).fill(5)],
        status: 'done',
      },
    ]);
  });

  it('gives each of a thousand jobs a session of its own, none that of the request', async () => {
    const run = await client.complete({ from: 1, to: 1_000, concurrency: 8 });

    const { body } = await client.results(run.id);
    expect(run).toMatchObject({ state: 'done', total: 1_000, done: 1_000, failed: 0, concurrency: 8 });
    expect(body.items.map(({ number }) => number)).toEqual(Array.from({ length: 1_000 }, (_, index) => index + 1));
    const sessions = new Set(body.items.map(({ sessionId }) => sessionId));
    expect(sessions.size).toBe(1_000);
    expect(sessions).not.toContain(run.requestSessionId);
  });

  it('stores the session of the request beside those of the jobs', async () => {
    const app = await createApp({ databaseUrl: database.url, logger: false });
    const seen: string[] = [];
    app.use((_request: unknown, _response: unknown, next: () => void) => {
      seen.push(app.get(SessionContext).scope.id);
      next();
    });
    await app.listen(0, '127.0.0.1');

    const { body } = await new JobsClient(await app.getUrl()).start({ numbers: [12] });
    await app.close();

    expect(seen).toEqual([body.requestSessionId]);
  });

  it('rolls back the job that fails, and lists it with its reason', async () => {
    const run = await client.complete({ numbers: [96, 97, 98], simulate: { failOn: [97] } });

    const { body } = await client.results(run.id);
    expect(run).toMatchObject({ state: 'done', total: 3, done: 2, failed: 1 });
    expect(body.items.map(({ number, status }) => [number, status])).toEqual([
      [96, 'done'],
      [97, 'failed'],
      [98, 'done'],
    ]);
    expect(body.items[1]).toEqual({
      index: 1,
      number: 97,
      status: 'failed',
      factors: null,
      error: 'Told to fail on 97',
      sessionId: null,
      startedAt: null,
      finishedAt: null,
    });
  });

  it('stores when each job began and ended', async () => {
    const run = await client.complete({ numbers: [6], simulate: { delayMs: 20 } });

    const { body } = await client.results(run.id);
    const [result] = body.items;
    const times = [run.createdAt, run.startedAt, result?.startedAt, result?.finishedAt, run.finishedAt].map((time) =>
      Date.parse(time ?? ''),
    );
    expect(times.toSorted((a, b) => a - b)).toEqual(times);
    expect((times[3] ?? 0) - (times[2] ?? 0)).toBeGreaterThanOrEqual(19);
  });

  it('tells how far a run has come while it runs', async () => {
    const { body: started } = await client.start({ from: 1, to: 500, simulate: { delayMs: 20 } });
    await database.until('select count(*) >= 8 from factorisation where run_id = $1', [started.id]);

    const { body: run } = await client.find(started.id);

    expect(run).toMatchObject({ state: 'running', total: 500, failed: 0, finishedAt: null });
    expect(run.done).toBeGreaterThan(0);
    expect(run.done).toBeLessThan(500);
    await client.cancel(started.id);
  });

  it('does not call a run done before its results are all there', async () => {
    const blocker = new Client({ connectionString: database.url });
    await blocker.connect();
    await database.query('begin');
    await database.query('lock table factorisation in access exclusive mode');
    const { body: started } = await client.start({ numbers: [97], simulate: { failOn: [97] } });
    await database.until(
      `select count(*) > 0 from pg_locks where not granted and relation = 'factorisation'::regclass`,
    );
    await blocker.query('begin');
    await blocker.query('select id from run where id = $1 for no key update', [started.id]);

    await database.query('rollback');
    await database.until(
      `select count(*) > 0 from pg_stat_activity
       where datname = current_database() and wait_event_type = 'Lock' and query like '%update "run"%'`,
    );
    const { body: run } = await client.find(started.id);
    await blocker.end();

    expect(run).toMatchObject({ state: 'running', failed: 1, finishedAt: null });
    expect(await client.untilEnd(started.id)).toMatchObject({ state: 'done', failed: 1 });
    expect((await client.results(started.id)).body.total).toBe(1);
  });

  it('lists runs by pages, the newest first', async () => {
    const runs: RunJson[] = [];
    for (const number of [1, 2, 3]) {
      runs.unshift(await client.complete({ numbers: [number] }));
    }

    const first = await client.list('?limit=2');
    const second = await client.list('?offset=2&limit=1');

    expect(first.body.items).toEqual(runs.slice(0, 2));
    expect(second.body.items).toEqual(runs.slice(2));
    expect(first.body).toMatchObject({ offset: 0, limit: 2, total: second.body.total });
    expect(await database.query('select count(*)::int as total from run')).toEqual([{ total: first.body.total }]);
  });

  it('lists results by pages', async () => {
    const { id } = await client.complete({ from: 11, to: 20 });

    const { body } = await client.results(id, '?offset=3&limit=2');

    expect(body).toMatchObject({ total: 10, offset: 3, limit: 2 });
    expect(body.items.map(({ index, number }) => [index, number])).toEqual([
      [3, 14],
      [4, 15],
    ]);
  });

  it.each(['', '/results', '/events'])('answers 404 for a run that does not exist: /jobs/:id%s', async (path) => {
    const { status, body } = await client.send(`/jobs/00000000-0000-4000-8000-000000000000${path}`);

    expect(status).toBe(404);
    expect(body).toEqual({
      statusCode: 404,
      error: 'Not Found',
      message: 'There is no run "00000000-0000-4000-8000-000000000000".',
      details: [],
    });
  });

  it('answers 404 to the cancellation of a run that does not exist', async () => {
    const { status } = await client.cancel('00000000-0000-4000-8000-000000000000');

    expect(status).toBe(404);
  });
});
