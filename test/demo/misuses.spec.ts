import type { MisuseView } from '../../src/misuse/misuse-view.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { type DemoApp, startDemo } from './support/demo-app.js';
import type { Answer } from './support/jobs-client.js';

describe('a misuse on purpose', () => {
  let database: TestDatabase;
  let demo: DemoApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    demo = await startDemo(database.url);
  });

  afterAll(async () => {
    await demo.close();
    await database.drop();
  });

  const commit = (name: string): Promise<Answer<MisuseView>> =>
    demo.client.send(`/misuses/${name}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });

  it.each([
    [
      'shared-session',
      'SessionOwnershipError',
      'SESSION_OWNERSHIP',
      /^The session of "job 0 of a job that shares" was used in "job 1 of/,
    ],
    [
      'use-after-end',
      'SessionClosedError',
      'SESSION_CLOSED',
      /^The session of "a block that has ended" was used after its end/,
    ],
    [
      'full-pool',
      'SessionPoolDeadlockError',
      'SESSION_POOL_DEADLOCK',
      /^"one more session" waits for a connection, but all 2 of the pool are held/,
    ],
  ])('tells the error that comes of %s', async (name, error, code, message) => {
    const { status, body } = await commit(name);

    expect(status).toBe(200);
    expect(body).toEqual({
      error,
      code,
      message: expect.stringMatching(message),
      help: `docs/troubleshooting.md#${code.toLowerCase()}`,
    });
    expect(await database.countOpenTransactions()).toBe(0);
  });

  it('is committed again and again, one at a time, beside a run that does not notice', async () => {
    const run = demo.client.complete({ from: 1, to: 100, concurrency: 32 });
    const statuses: number[] = [];
    for (let nth = 0; nth < 5; nth += 1) {
      const answers = await Promise.all([commit('full-pool'), commit('full-pool'), commit('full-pool')]);
      statuses.push(...answers.map(({ status }) => status));
    }

    expect(new Set(statuses)).toEqual(new Set([200, 503]));
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(5);
    expect(await run).toMatchObject({ state: 'done', done: 100, failed: 0 });
  });

  it('cannot be asked for by a page of another server', async () => {
    const { status } = await demo.client.send('/misuses/full-pool', { method: 'POST' });

    expect(status).toBe(400);
  });
});
