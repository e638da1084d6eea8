import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { type DemoApp, startDemo } from './support/demo-app.js';
import type { JobsClient } from './support/jobs-client.js';

describe('the cancellation of a run', () => {
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

  it('lets running jobs finish and starts no other', async () => {
    const { body: started } = await client.start({ from: 1, to: 100, concurrency: 4, simulate: { delayMs: 10_000 } });
    await untilRunning(started.id);

    const { status, body: run } = await client.cancel(started.id);

    expect(status).toBe(200);
    expect(run).toMatchObject({ id: started.id, state: 'cancelled', total: 100, failed: 0 });
    expect(run.done).toBeLessThanOrEqual(4);
    const { body: results } = await client.results(started.id);
    expect(results.total).toBe(run.done);
    expect((await client.find(started.id)).body).toEqual(run);
  });

  it('takes an id in capitals', async () => {
    const { body: started } = await client.start({ from: 1, to: 100, simulate: { delayMs: 10_000 } });
    await untilRunning(started.id);

    const { status, body: run } = await client.cancel(started.id.toUpperCase());

    expect(status).toBe(200);
    expect(run).toMatchObject({ id: started.id, state: 'cancelled' });
  });

  it('cancels a run that waits for its turn', async () => {
    const slow = { from: 1, to: 200, concurrency: 32, simulate: { delayMs: 10_000 } };
    const { body: first } = await client.start(slow);
    const others = [await client.start(slow), await client.start(slow), await client.start(slow)];
    const { body: second } = await client.start(slow);
    await untilRunning(first.id);

    const { body: cancelled } = await client.cancel(second.id);

    expect(cancelled).toMatchObject({ state: 'cancelled', done: 0, failed: 0, startedAt: null });
    expect((await client.find(first.id)).body.state).toBe('running');
    await Promise.all([first, ...others.map(({ body }) => body)].map(({ id }) => client.cancel(id)));
  });

  it('answers requests while the jobs hold all the connections they may have', async () => {
    await database.query('begin');
    await database.query('lock table factorisation in exclusive mode');
    const { body: started } = await client.start({ from: 1, to: 32, concurrency: 32 });
    await database.until(
      `select count(*) = 32 from pg_locks where relation = 'factorisation'::regclass and not granted`,
    );

    const { body: run } = await client.find(started.id);

    expect(run.state).toBe('running');
    await database.query('rollback');
    await client.untilEnd(started.id);
  });

  it('leaves a run that has ended as it is', async () => {
    const run = await client.complete({ numbers: [12] });

    const { status, body } = await client.cancel<unknown>(run.id);

    expect(status).toBe(409);
    expect(body).toEqual({
      statusCode: 409,
      error: 'Conflict',
      message: `The run "${run.id}" cannot be cancelled: it is done already.`,
      details: [],
    });
    expect((await client.find(run.id)).body).toEqual(run);
  });
});
