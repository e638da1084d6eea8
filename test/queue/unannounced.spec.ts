import { Injectable, type Type } from '@nestjs/common';
import type { JobWorker } from 'nestjs-mikro-session';
import { JobHandler, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    'doomed-job': string;
    'last-words': string;
  }
}

@Injectable()
@JobHandler({ queue: 'doomed-job', retryLimit: 0, deadLetter: 'last-words' })
class DoomedHandler implements JobWorker<string, void> {
  handle(): void {
    throw new Error('told to fail');
  }
}

@Injectable()
@JobHandler({ queue: 'last-words', pollingIntervalSeconds: 0.5 })
class LastWordsHandler implements JobWorker<string, void> {
  handle(): void {
    // It has been heard.
  }
}

describe('a job that no notification tells of', () => {
  let database: TestDatabase;
  let app: TestApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({
      databaseUrl: database.url,
      imports: [JobQueueModule.forRoot()],
      providers: [DoomedHandler, LastWordsHandler] satisfies Type[],
    });
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  it('is run at the interval of polling, a dead letter for one', async () => {
    await app.get<JobQueue>(JobQueue).send('doomed-job', 'hello');

    await database.until(`select count(*) = 1 from pgboss.job where name = 'last-words' and state = 'completed'`);
    const [row] = await database.query<{ seconds: number }>(
      `select extract(epoch from started_on - created_on)::float as seconds from pgboss.job where name = 'last-words'`,
    );
    expect(row?.seconds).toBeLessThan(5);
  });
});
