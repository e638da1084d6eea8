import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { type DemoApp, startDemo } from './support/demo-app.js';
import type { JobsClient } from './support/jobs-client.js';

import.meta.jest.setTimeout(60_000);

describe('the demo with more to do than it can', () => {
  let database: TestDatabase;
  let demo: DemoApp;
  let client: JobsClient;

  beforeEach(async () => {
    database = await createTestDatabase();
    demo = await startDemo(database.url);
    client = demo.client;
  });

  afterEach(async () => {
    await demo.close();
    await database.drop();
  });

  const slow = { from: 1, to: 100_000, concurrency: 32, simulate: { delayMs: 10_000 } };

  it('refuses further runs with the time to try again, and answers its health check', async () => {
    const answers = await Promise.all(Array.from({ length: 550 }, () => client.start<{ message: string }>(slow)));
    const health = await client.send<unknown>('/health', { signal: AbortSignal.timeout(2_000) });

    const refused = answers.filter(({ status }) => status === 503);
    expect(answers.filter(({ status }) => status === 202)).toHaveLength(10);
    expect(refused).toHaveLength(540);
    expect(refused[0]?.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(refused[0]?.body.message).toContain('there is no room for 100000 more. Try again later.');
    expect(health.status).toBe(200);
    expect(await database.query('select count(*)::int as runs from run')).toEqual([{ runs: 10 }]);
  });

  it.each(['process', 'queue'])(
    'counts the runs of the engine %s, and takes more when some have ended',
    async (engine) => {
      // They take a minute each: the first must not end before the last has been asked for.
      const request = { from: 1, to: 6, engine, concurrency: 1, simulate: { delayMs: 10_000 } };
      const started: string[] = [];
      let answer = await client.start(request);
      while (answer.status === 202) {
        started.push(answer.body.id);
        answer = await client.start(request);
      }

      await client.cancel(started.at(-1) ?? '');
      const next = await client.start(request);

      expect(started).toHaveLength(200);
      expect(answer.status).toBe(503);
      expect(answer.headers.get('retry-after')).toMatch(/^\d+$/);
      expect(next.status).toBe(202);
    },
  );

  it('lets a short run end beside many long ones', async () => {
    await Promise.all(Array.from({ length: 8 }, () => client.start(slow)));

    const startedAt = performance.now();
    const run = await client.complete({ numbers: [12] });

    expect(run).toMatchObject({ state: 'done', done: 1 });
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });

  it('lets no more clients listen to events than it can serve', async () => {
    const { body: run } = await client.start(slow);
    const leave = new AbortController();
    const listen = (signal: AbortSignal): Promise<Response> => fetch(`${client.url}/jobs/${run.id}/events`, { signal });
    const answers = await Promise.all(Array.from({ length: 300 }, () => listen(leave.signal)));
    const health = await client.send<unknown>('/health', { signal: AbortSignal.timeout(2_000) });

    leave.abort();

    const refused = answers.filter(({ status }) => status === 503);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(200);
    expect(refused).toHaveLength(100);
    expect(refused[0]?.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(health.status).toBe(200);
    const again = new AbortController();
    let response = await listen(again.signal);
    while (response.status === 503) {
      await response.arrayBuffer();
      response = await listen(again.signal);
    }
    again.abort();
    expect(response.status).toBe(200);
  });

  it('does not hold more bodies than its memory allows', async () => {
    const body = JSON.stringify({ numbers: Array.from({ length: 100_000 }, () => 10_000_000_000) });
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => client.start(body).catch(() => 'refused before it was read' as const)),
    );

    const statuses = answers.map((answer) => (typeof answer === 'string' ? 503 : answer.status));
    expect(statuses).toContain(202);
    expect(statuses).toContain(503);
    expect(statuses.every((status) => status === 202 || status === 503)).toBe(true);
  }, 90_000);
});
