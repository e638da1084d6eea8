import { JobService, type JobStreamOptions } from 'nestjs-mikro-session';

import { startTestApp } from '../support/test-app.js';
import { useTestApp } from '../support/use-test-app.js';

const wrong: readonly (readonly [Readonly<Record<string, unknown>>, string])[] = [
  [{ concurrency: 0 }, 'Expected `concurrency` to be an integer of 1 or more, got `0` (number).'],
  [{ concurrency: Number.NaN }, 'Expected `concurrency` to be an integer of 1 or more, got `NaN` (number).'],
  [{ chunkSize: 1.5 }, 'Expected `chunkSize` to be an integer of 1 or more, got `1.5` (number).'],
  [{ transaction: true }, "Expected `transaction` to be 'job' or 'none' or the options of a transaction, got `true`"],
  [{ label: 7 }, 'Expected `label` to be a string, got `7` (number).'],
  [{ info: 'tenant' }, "Expected `info` to be an object, got `'tenant'` (string)."],
  [{ signal: {} }, 'Expected `signal` to be an AbortSignal, got `{}` (object).'],
  [{ whenAborted: 'stop' }, "Expected `whenAborted` to be 'cancel' or 'finish', got `'stop'` (string)."],
  [
    { timeout: 0 },
    'Expected `timeout` to be milliseconds above 0 and up to 2147483647, or Infinity, got `0` (number).',
  ],
  [{ timeout: '5s' }, 'Expected `timeout` to be milliseconds above 0 and up to 2147483647, or Infinity'],
  [{ timeout: 2 ** 31 }, 'Expected `timeout` to be milliseconds above 0 and up to 2147483647, or Infinity'],
  [{ total: -1 }, 'Expected `total` to be an integer of 0 or more, got `-1` (number).'],
  [{ stopOnError: 1 }, 'Expected `stopOnError` to be a boolean, got `1` (number).'],
  [{ onProgress: {} }, 'Expected `onProgress` to be a function, got `{}` (object).'],
  [{ progressInterval: -1 }, 'Expected `progressInterval` to be milliseconds from 0, got `-1` (number).'],
  [{ retry: 3 }, 'Expected `retry` to be an object, got `3` (number).'],
  [{ retry: { limit: -1 } }, 'Expected `retry.limit` to be an integer of 0 or more, or Infinity, got `-1` (number).'],
  [{ retry: { delay: Infinity } }, 'Expected `retry.delay` to be milliseconds from 0, got `Infinity` (number).'],
  [{ retry: { backoff: 0.5 } }, 'Expected `retry.backoff` to be a number of 1 or more, got `0.5` (number).'],
  [{ retry: { jitter: 2 } }, 'Expected `retry.jitter` to be a number from 0 to 1, got `2` (number).'],
  [{ retry: { when: true } }, 'Expected `retry.when` to be a function, got `true` (boolean).'],
  [{ chunkSize: 2, transaction: 'none' }, "Expected `transaction` not to be 'none' with a `chunkSize` above 1: "],
];

const wrongInStreams: readonly (readonly [Readonly<Record<string, unknown>>, string])[] = [
  [{ order: 'random' }, "Expected `order` to be 'input' or 'completion', got `'random'` (string)."],
  [{ window: 0 }, 'Expected `window` to be an integer of 1 or more, got `0` (number).'],
  [{ window: 5, chunkSize: 10 }, 'Expected `window` to be at least the `chunkSize` of 10, got `5`.'],
];

describe('the options of JobService', () => {
  let jobs: JobService;
  let calls = 0;

  const { app, database } = useTestApp();

  beforeAll(() => {
    jobs = app.get(JobService);
  });

  const work = (): number => (calls += 1);

  it.each(wrong)('are refused before a job begins: %j', async (options, message) => {
    const refusal = expect.objectContaining({ name: 'TypeError', message: expect.stringContaining(message) });

    await expect(jobs.map([1], work, options as JobStreamOptions)).rejects.toEqual(refusal);
    await expect(jobs.settle([1], work, options as JobStreamOptions)).rejects.toEqual(refusal);
    expect(() => jobs.stream([1], work, options as JobStreamOptions)).toThrow(refusal);
    expect(calls).toBe(0);
  });

  it.each(wrongInStreams)('of a stream are refused when it is made: %j', (options, message) => {
    expect(() => jobs.stream([1], work, options as JobStreamOptions)).toThrow(message);
    expect(calls).toBe(0);
  });

  it.each([{ order: 'completion' }, { window: 8 }])('of a stream alone are refused elsewhere: %j', async (options) => {
    const message =
      /^Expected `(order|window)` to be left out, since it belongs to `JobService.stream\(\)` alone, got `/;

    await expect(jobs.map([1], work, options as JobStreamOptions)).rejects.toThrow(message);
    await expect(jobs.settle([1], work, options as JobStreamOptions)).rejects.toThrow(message);
    await expect(
      startTestApp({ databaseUrl: database.url, session: { jobs: options as JobStreamOptions } }),
    ).rejects.toThrow(message);
    expect(calls).toBe(0);
  });

  it.each([undefined, null, 7, {}])('are refused with inputs that cannot be iterated: %p', async (inputs) => {
    const message =
      /^Expected `inputs` to be an iterable or an async iterable, got `.*` \((undefined|object|number)\)\.$/;

    await expect(jobs.map(inputs as never, work)).rejects.toThrow(message);
    expect(() => jobs.stream(inputs as never, work)).toThrow(message);
  });

  it('are refused when the application starts, where the module has them', async () => {
    const starting = startTestApp({ databaseUrl: database.url, session: { jobs: { concurrency: -1 } } });

    await expect(starting).rejects.toThrow('Expected `concurrency` to be an integer of 1 or more, got `-1` (number).');
  });

  it('of a call go before those of the module', async () => {
    const own = await startTestApp({
      databaseUrl: database.url,
      session: { jobs: { timeout: 1, retry: { limit: 1_000 }, chunkSize: 7, label: 'ours' } },
    });

    const outcomes = await own.get<JobService>(JobService).settle(
      [1],
      async (session) => {
        await (session as never as { execute(sql: string): Promise<unknown> }).execute('select pg_sleep(0.02)');
        throw Object.assign(new Error('conflict'), { code: '40001' });
      },
      { timeout: Infinity, retry: { limit: 0 } },
    );

    expect(outcomes).toMatchObject([{ ending: 'failed', reason: { message: 'conflict' }, attempts: 1 }]);
    await own.close();
  });
});
