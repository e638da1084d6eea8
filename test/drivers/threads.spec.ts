import { JobService } from 'nestjs-mikro-session';

import { startTestApp } from '../support/test-app.js';
import { createTestDatabase } from '../support/test-database.js';
import { WriteWorker } from '../threads/app/thread.workers.js';
import { compileThreadApp, startThreadApp } from '../threads/support/thread-app.js';
import { otherDrivers } from './support/driver-app.js';

// An application starts in each new thread.
import.meta.jest.setTimeout(60_000);

describe.each(otherDrivers)('the threads of jobs on %s', (driver) => {
  it('write in transactions of their own, and share what connections there are', async () => {
    const database = await createTestDatabase(driver);
    const app = await startThreadApp({
      folder: await compileThreadApp(),
      databaseUrl: database.url,
      orm: { pool: { min: 0, max: 2 } },
    });
    try {
      const outcomes = await app
        .get<JobService>(JobService)
        .settle([1, 2, -3, 4, 5, 6], WriteWorker, { threads: 2, retry: { limit: 5 } });

      expect(outcomes.map(({ status }) => status)).toEqual(
        [1, 2, -3, 4, 5, 6].map((input) => (input < 0 ? 'rejected' : 'fulfilled')),
      );
      const rows = await database.query<{ text: string }>('select text from note');
      expect(rows.map(({ text }) => text).toSorted()).toEqual(['1', '2', '4', '5', '6']);
      const threads = outcomes.map((outcome) => outcome.status === 'fulfilled' && outcome.value);
      expect(new Set(threads.filter(Boolean)).size).toBe(2);
    } finally {
      await app.close();
      await database.drop();
    }
  });
});

describe('the threads of jobs on a database in memory', () => {
  it('are refused', async () => {
    const database = await createTestDatabase('sqlite');
    const app = await startTestApp({
      databaseUrl: database.url,
      orm: { dbName: ':memory:' },
      providers: [WriteWorker],
      session: { threads: { application: new URL('none.js', import.meta.url) } },
    });
    try {
      const run = app.get<JobService>(JobService).map([1], WriteWorker, { threads: 1 });

      await expect(run).rejects.toThrow('Each thread would have its own database in memory');
    } finally {
      await app.close();
      await database.drop();
    }
  });
});
