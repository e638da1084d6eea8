import { rm } from 'node:fs/promises';

import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { compileDemo } from './support/compile-demo.js';
import { DemoProcess } from './support/demo-process.js';
import type { JobsClient } from './support/jobs-client.js';

/** Half a second of work: the largest product of two large primes that a number can hold. */
const SEMIPRIME = 9_007_195_909_437_503;
const FACTORS = [94_906_247, 94_906_249];

// Threads start once.
import.meta.jest.setTimeout(60_000);

describe('a run of large numbers', () => {
  let folder: string;
  let database: TestDatabase;
  let demo: DemoProcess;
  let client: JobsClient;

  beforeAll(async () => {
    folder = await compileDemo();
    database = await createTestDatabase();
    demo = new DemoProcess(folder, { DATABASE_URL: database.url });
    client = await demo.listening();
  });

  afterAll(async () => {
    demo.kill('SIGTERM');
    const code = await demo.ended();
    await database.drop();
    await rm(folder, { recursive: true, force: true });
    expect([code, demo.errors]).toEqual([0, '']);
  });

  it('does not keep requests waiting', async () => {
    // A server that computed itself would give no more than an answer or two between two numbers.
    const total = 30;
    const { body } = await client.start({ numbers: Array<number>(total).fill(SEMIPRIME), concurrency: 2 });
    await database.until('select count(*) > 0 from factorisation where run_id = $1', [body.id]);

    const answers: number[] = [];
    for (let count = 0; count < 2 * total; count += 1) {
      answers.push((await client.send('/health')).status);
    }
    const { body: during } = await client.find(body.id);
    const { body: cancelled } = await client.cancel(body.id);

    expect(new Set(answers)).toEqual(new Set([200]));
    expect(during.state).toBe('running');
    expect(cancelled).toMatchObject({ state: 'cancelled', failed: 0 });
    expect(cancelled.done).toBeLessThan(total);
  });

  it('keeps the order of its numbers, small ones among them, with a session for each', async () => {
    const run = await client.complete({
      numbers: [SEMIPRIME, 12, 999_999_999_989, 97, 9_007_199_254_740_991],
      simulate: { failOn: [999_999_999_989] },
    });

    const { body } = await client.results(run.id);
    expect(body.items.map(({ index, factors, error }) => [index, factors, error])).toEqual([
      [0, FACTORS, null],
      [1, [2, 2, 3], null],
      [2, null, 'Told to fail on 999999999989'],
      [3, [97], null],
      [4, [6_361, 69_431, 20_394_401], null],
    ]);
    expect(run).toMatchObject({ state: 'done', total: 5, done: 4, failed: 1 });
    expect(new Set(body.items.map(({ sessionId }) => sessionId)).size).toBe(5);
  });

  it('ends in good order when the server is told to end', async () => {
    const { body } = await client.start({ numbers: Array<number>(30).fill(SEMIPRIME), concurrency: 2 });
    await database.until('select count(*) > 0 from factorisation where run_id = $1', [body.id]);

    demo.kill('SIGTERM');

    expect(await demo.ended()).toBe(0);
    const [run] = await database.query<{ state: string; done: number }>('select state, done from run where id = $1', [
      body.id,
    ]);
    const rows = await database.query('select 1 from factorisation where run_id = $1', [body.id]);
    expect(run).toEqual({ state: 'interrupted', done: rows.length });
  });
});
