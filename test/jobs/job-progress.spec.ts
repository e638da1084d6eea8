import { setImmediate as nextTurn } from 'node:timers/promises';

import type { EntityManager } from '@mikro-orm/postgresql';
import { type JobProgress, JobService } from 'nestjs-mikro-session';

import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

describe('the progress of jobs', () => {
  let database: TestDatabase;
  let app: TestApp;
  let jobs: JobService<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({ databaseUrl: database.url });
    jobs = app.get(JobService);
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  const refuseNegative = (_session: unknown, n: number): number => {
    if (n < 0) {
      throw new RangeError(`${n} is negative`);
    }
    return n;
  };

  it('is told after each job without an interval', async () => {
    const seen: JobProgress[] = [];

    await jobs.settle([1, -2, 3], refuseNegative, {
      concurrency: 1,
      onProgress: (progress) => seen.push(progress),
      progressInterval: 0,
    });

    expect(seen).toMatchObject([
      { done: 1, failed: 0, total: 3 },
      { done: 1, failed: 1, total: 3 },
      { done: 2, failed: 1, total: 3 },
    ]);
  });

  it('is told at the first job and the last, and not more often than the interval', async () => {
    const seen: JobProgress[] = [];
    const onProgress = (progress: JobProgress): unknown => seen.push(progress);

    await jobs.settle(Array(100).keys(), refuseNegative, { onProgress, progressInterval: 60_000, transaction: 'none' });

    expect(seen).toEqual([
      { done: 1, failed: 0, rate: expect.any(Number) },
      { done: 100, failed: 0, rate: expect.any(Number) },
    ]);
  });

  it('is told in time when the next job takes long', async () => {
    const told = Promise.withResolvers<void>();
    const onProgress = ({ done }: JobProgress): void => {
      if (done === 2) {
        told.resolve();
      }
    };

    const all = jobs.map([1, 2, 3], async (_session, n) => (n === 3 ? told.promise : nextTurn()), {
      concurrency: 1,
      onProgress,
      progressInterval: 20,
    });

    await expect(all).resolves.toHaveLength(3);
  });

  it('has the jobs per second, and the time left where the number of inputs is known', async () => {
    let seen: JobProgress | undefined;
    const startedAt = performance.now();
    const work = async (): Promise<unknown> => nextTurn();

    await jobs.settle([1, 2, 3, 4], work, {
      concurrency: 1,
      progressInterval: 0,
      onProgress: (progress) => {
        if (progress.done === 1) {
          seen = progress;
        }
      },
    });

    const elapsed = performance.now() - startedAt;
    expect(seen?.rate).toBeGreaterThan(1_000 / elapsed);
    expect(seen?.timeLeft).toBeCloseTo(3_000 / (seen?.rate ?? 0));
  });

  it('is told of a stream too', async () => {
    const seen: JobProgress[] = [];

    await Array.fromAsync(jobs.stream([1, -2, 3], refuseNegative, { onProgress: (progress) => seen.push(progress) }));

    expect(seen.at(-1)).toEqual({ done: 2, failed: 1, total: 3, rate: expect.any(Number), timeLeft: 0 });
  });

  it('has the total of the option where the inputs do not tell it', async () => {
    const told: JobProgress[] = [];
    const untold: JobProgress[] = [];

    await jobs.settle([1, 2].values(), refuseNegative, { total: 2, onProgress: (progress) => told.push(progress) });
    await jobs.settle([1, 2].values(), refuseNegative, { onProgress: (progress) => untold.push(progress) });

    expect(told.at(-1)).toMatchObject({ done: 2, total: 2, timeLeft: 0 });
    expect(untold.at(-1)).not.toHaveProperty('total');
  });

  it('fails the jobs with what its callback throws, when those that run have ended', async () => {
    let started = 0;
    let ended = 0;
    const work = async (): Promise<void> => {
      started += 1;
      await nextTurn();
      ended += 1;
    };
    const onProgress = ({ done }: JobProgress): void => {
      if (done === 2) {
        throw new Error('no view');
      }
    };

    const settled = jobs.settle(Array(100).keys(), work, { onProgress, progressInterval: 0, concurrency: 3 });

    await expect(settled).rejects.toThrow('no view');
    expect(ended).toBe(started);
    expect(started).toBeLessThan(10);
  });
});

describe('stopOnError', () => {
  let database: TestDatabase;
  let app: TestApp;
  let jobs: JobService<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({ databaseUrl: database.url });
    jobs = app.get(JobService);
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  const failAt = (index: number) => async (_session: unknown, n: number) => {
    await nextTurn();
    if (n === index) {
      throw new Error('broken');
    }
    return n;
  };

  it('starts no job after the first that failed, and lets the running ones end', async () => {
    const release = Promise.withResolvers<void>();
    const work = async (_session: unknown, n: number): Promise<number> => {
      if (n === 1) {
        setImmediate(() => release.resolve());
        throw new Error('broken');
      }
      await release.promise;
      return n;
    };

    const outcomes = await jobs.settle([0, 1, 2, 3], work, {
      concurrency: 2,
      stopOnError: true,
      transaction: 'none',
    });

    expect(outcomes).toMatchObject([
      { status: 'fulfilled', value: 0 },
      { status: 'rejected', ending: 'failed', reason: { message: 'broken' }, attempts: 1 },
      { status: 'rejected', ending: 'aborted', attempts: 0 },
      { status: 'rejected', ending: 'aborted', attempts: 0 },
    ]);
    expect(outcomes).toMatchObject([
      {},
      {},
      {},
      {
        reason: {
          name: 'AbortError',
          message: 'Not begun: the job 1 of work had failed, and stopOnError is set',
        },
      },
    ]);
  });

  it('waits for the retries of a job before it counts as failed', async () => {
    const work = (_session: unknown, n: number, { attempt }: { attempt: number }): number => {
      if (n === 0 && attempt === 1) {
        throw Object.assign(new Error('conflict'), { code: '40001' });
      }
      return n;
    };

    const results = await jobs.map([0, 1, 2], work, { concurrency: 1, stopOnError: true, retry: { delay: 1 } });

    expect(results).toEqual([0, 1, 2]);
  });

  it('ends a stream after the outcomes of those that began, and closes the inputs', async () => {
    let isClosed = false;
    function* numbers(): Generator<number> {
      try {
        for (let n = 0; ; n += 1) {
          yield n;
        }
      } finally {
        isClosed = true;
      }
    }

    const outcomes = await Array.fromAsync(jobs.stream(numbers(), failAt(3), { concurrency: 1, stopOnError: true }));

    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected']);
    expect(isClosed).toBe(true);
  });
});
