import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { type DemoApp, startDemo } from './support/demo-app.js';
import type { JobsClient } from './support/jobs-client.js';

describe('the events of a run', () => {
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

  it('tell how far it has come, then its end, and then the stream ends', async () => {
    const { body: started } = await client.start({
      from: 1,
      to: 200,
      simulate: { failOn: [7], delayMs: 5 },
    });

    const events = await client.events(started.id);

    const progress = events.filter(({ type }) => type === 'progress');
    const counts = progress.map(({ data: { done, failed } }) => done + failed);
    expect(events.map(({ type }) => type)).toEqual([...progress.map(() => 'progress'), 'end']);
    expect(progress.length).toBeGreaterThan(1);
    expect(counts).toEqual(counts.toSorted((a, b) => a - b));
    expect(progress.at(-1)?.data).toMatchObject({ state: 'done', done: 199, failed: 1, total: 200, timeLeft: 0 });
    expect(events.at(-1)?.data).toEqual((await client.find(started.id)).body);
  });

  it('tell how fast it goes and how long it will take', async () => {
    const { body: started } = await client.start({ from: 1, to: 200, simulate: { delayMs: 5 } });

    const events = await client.events(started.id);

    const paces = events.flatMap(({ data: { rate, timeLeft } }) => (rate === undefined ? [] : [{ rate, timeLeft }]));
    expect(paces.length).toBeGreaterThan(1);
    expect(paces.every(({ rate, timeLeft }) => rate > 0 && timeLeft !== undefined)).toBe(true);
    expect(paces.at(-1)?.timeLeft).toBe(0);
  });

  it('are those of a stream that is not cached', async () => {
    const { body: started } = await client.start({ numbers: [1] });

    const response = await fetch(`${client.url}/jobs/${started.id}/events`);
    await response.text();

    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    expect(response.headers.get('cache-control')).toContain('no-cache');
  });

  it('are only the end when it has ended before', async () => {
    const run = await client.complete({ numbers: [12, 97] });

    const events = await client.events(run.id);

    expect(events).toEqual([{ type: 'end', data: run }]);
  });

  it('end with its cancellation', async () => {
    const { body: started } = await client.start({ from: 1, to: 100, simulate: { delayMs: 10_000 } });
    const events = client.events(started.id);
    await database.until(`select state = 'running' from run where id = $1`, [started.id]);

    const { body: run } = await client.cancel(started.id);

    expect((await events).at(-1)).toEqual({ type: 'end', data: run });
  });

  const transactions = `
    select pid from pg_stat_activity where datname = current_database() and state = 'idle in transaction'`;

  it('hold no connection to the database', async () => {
    const { body: started } = await client.start({ numbers: [1], simulate: { delayMs: 10_000 } });
    const response = await fetch(`${client.url}/jobs/${started.id}/events`);
    await database.until(`select state = 'running' from run where id = $1`, [started.id]);

    const held = await database.query(transactions);

    expect(held).toEqual([]);
    await client.cancel(started.id);
    await response.text();
  });
});
