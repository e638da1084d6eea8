import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService, type JobOptions } from 'nestjs-mikro-session';

import type { TestDatabase } from '../support/test-database.js';
import { strangers, StrangeWorker } from './app/strange.worker.js';
import { ThreadStage } from './support/thread-stage.js';

// An application starts in each new thread.
import.meta.jest.setTimeout(60_000);

describe('a job in a thread that throws', () => {
  let stage: ThreadStage;
  let database: TestDatabase;
  let jobs: JobService<EntityManager>;

  beforeAll(async () => {
    stage = await ThreadStage.set();
    ({ database, jobs } = stage);
  }, 60_000);

  afterEach(() => database.query('delete from note'));

  afterAll(() => stage.clear());

  const manners: readonly JobOptions[] = [
    {},
    { retry: { delay: 0 } },
    { timeout: 50_000 },
    { chunkSize: 3, retry: { delay: 0 } },
    { transaction: 'none', timeout: 50_000 },
  ];

  it.each(Object.entries(strangers))('%s is rejected, and no other job is touched', async (what, [, says]) => {
    for (const options of manners) {
      const outcomes = await jobs.settle(['a', what, 'c'], StrangeWorker, { ...options, threads: 1, concurrency: 1 });

      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect(outcomes[1]).toMatchObject({ ending: 'failed', attempts: 1 });
      expect(show(outcomes[1])).toMatch(says);
      const written = options.transaction === 'none' ? ['a', what, 'c'].toSorted(byText) : ['a', 'c'];
      const notes = await database.query<{ text: string }>('delete from note returning text');
      expect(notes.map(({ text }) => text).toSorted(byText)).toEqual(written);
    }
  });

  it('leaves the thread to others, also when many do so at once, and the application closes', async () => {
    const own = await stage.startAnother();
    const inputs = ['first', ...Object.keys(strangers), 'last'];

    const outcomes = await own
      .get<JobService<EntityManager>>(JobService)
      .settle(inputs, StrangeWorker, { threads: 2, concurrency: 5 });
    await own.close();

    expect(outcomes.flatMap(({ status, input }) => (status === 'fulfilled' ? [input] : []))).toEqual(['first', 'last']);
  });
});

const byText = (one: string, other: string): number => (one < other ? -1 : 1);

function show(outcome: unknown): string {
  const { reason } = outcome as { readonly reason: unknown };
  return String(reason);
}
