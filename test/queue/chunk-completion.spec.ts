import { Injectable } from '@nestjs/common';
import type { JobWorker } from 'nestjs-mikro-session';
import { JobHandler, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { startTestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    numbers: number;
  }
}

@Injectable()
@JobHandler({ queue: 'numbers', retryLimit: 0, chunkSize: 10 })
class NumberHandler implements JobWorker<number, void> {
  handle(input: number): void {
    if (input === 13) {
      throw new Error('told to fail');
    }
  }
}

describe('the completion of a chunk', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(() => database.drop());

  it('is in the transaction of its work alone', async () => {
    const { app, get } = await startTestApp({
      databaseUrl: database.url,
      imports: [JobQueueModule.forRoot()],
      providers: [NumberHandler],
    });
    await database.query(`
      create table completion (jobs int);
      create function count_jobs() returns trigger language plpgsql as $$ begin
        if current_query() ~ 'SET completed_on' then
          insert into completion select count(*) from changed;
        end if;
        return null;
      end $$;
      create trigger count_jobs after update on pgboss.job_common referencing new table as changed
        for each statement execute function count_jobs()`);

    await get<JobQueue>(JobQueue).sendMany('numbers', Array(40).keys());
    await database.until(`select count(*) = 40 from pgboss.job where state in ('completed', 'failed')`);
    await app.close();

    const [row] = await database.query(
      'select sum(jobs)::int as completed, count(*) filter (where jobs = 0)::int as in_vain from completion',
    );
    expect(row).toEqual({ completed: 39, in_vain: 0 });
  });
});
