import type { LoggerService } from '@nestjs/common';

import { JobLog } from '../../src/runs/job-log.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { type DemoApp, startDemo } from './support/demo-app.js';

/** Keeps the lines about runs. */
class RunLines implements LoggerService {
  readonly #lines: string[] = [];

  log(message: unknown, context?: unknown): void {
    if (context === 'Runs') {
      this.#lines.push(String(message));
    }
  }

  warn(): void {}

  error(): void {}

  about(id: string): string[] {
    return this.#lines.filter((line) => line.includes(id)).map((line) => line.replace(/\d+ ms$/, '… ms'));
  }
}

describe('the log', () => {
  let database: TestDatabase;
  let demo: DemoApp;
  const log = new RunLines();

  beforeAll(async () => {
    database = await createTestDatabase();
    demo = await startDemo(database.url, { logger: log });
  });

  afterAll(async () => {
    await demo.close();
    await database.drop();
  });

  it.each(['process', 'queue'])(
    'has a line for a run of the engine %s that starts and one that ends',
    async (engine) => {
      const { id } = await demo.client.complete({ from: 1, to: 5, engine, simulate: { failOn: [3] } });

      expect(log.about(id)).toEqual([
        `Run ${id} starts: 5 numbers, 4 at once, engine ${engine}`,
        `Run ${id} is done: 4 done and 1 failed of 5, in … ms`,
      ]);
    },
  );

  it.each(['process', 'queue'])('has one for a run of the engine %s that is cancelled', async (engine) => {
    const { body: run } = await demo.client.start({ from: 1, to: 50, engine, simulate: { delayMs: 10_000 } });
    await database.until(`select state = 'running' from run where id = $1`, [run.id]);

    const { body: cancelled } = await demo.client.cancel(run.id);

    expect(log.about(run.id)).toEqual([
      `Run ${run.id} starts: 50 numbers, 4 at once, engine ${engine}`,
      `Run ${run.id} is cancelled: ${cancelled.done} done and 0 failed of 50, in … ms`,
    ]);
  });
});

describe('JobLog', () => {
  const job = (index: number): Parameters<JobLog['follow']>[1] => ({
    index,
    number: index + 1,
    sessionId: `session ${index}`,
    startedAt: new Date(),
  });

  it('knows jobs that run, that have ended and that have failed', async () => {
    const log = new JobLog();
    const end = Promise.withResolvers<void>();
    const running = log.follow('run', job(0), () => end.promise);
    await log.follow('run', job(1), async () => undefined);
    const failing = log.follow('run', job(2), () => Promise.reject(new Error('on purpose')));

    await expect(failing).rejects.toThrow('on purpose');

    expect(log.list('run')).toMatchObject([
      { index: 0, sessionId: 'session 0', finishedAt: null, hasFailed: false },
      { index: 1, finishedAt: expect.any(Date), hasFailed: false },
      { index: 2, finishedAt: expect.any(Date), hasFailed: true },
    ]);
    end.resolve();
    await running;
  });

  it('keeps the newest jobs of the newest runs only', async () => {
    const log = new JobLog();
    for (let index = 0; index < 1_000; index += 1) {
      await log.follow('long', job(index), async () => undefined);
    }
    const { length } = log.list('long');
    const first = log.list('long')[0];
    for (let nth = 0; nth < 50; nth += 1) {
      await log.follow(`run ${nth}`, job(0), async () => undefined);
    }

    expect(length).toBe(200);
    expect(first).toMatchObject({ index: 800 });
    expect(log.list('long')).toEqual([]);
    expect(log.list('run 49')).toHaveLength(1);
  });
});
