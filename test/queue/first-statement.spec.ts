import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { InjectSession, type JobWorker } from 'nestjs-mikro-session';
import { JobHandler, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { NetworkProxy } from '../support/network-proxy.js';
import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    'meets-the-others': string;
    'looks-at-the-clock': string;
  }
}

const POOL_SIZE = 3;
const JOBS = 12;

const texts = Array.from({ length: JOBS }, (_, nth) => `note ${nth}`);

/** Goes on when all jobs are there. */
@Injectable()
@JobHandler({ queue: 'meets-the-others', localConcurrency: JOBS, retryLimit: 0 })
class MeetingHandler implements JobWorker<string, void> {
  private static readonly complete = Promise.withResolvers<void>();
  static present = 0;

  constructor(@InjectSession() private readonly session: EntityManager) {}

  async handle(text: string): Promise<void> {
    MeetingHandler.present += 1;
    if (MeetingHandler.present === JOBS) {
      MeetingHandler.complete.resolve();
    }
    await MeetingHandler.complete.promise;
    this.session.create(Note, { text });
  }
}

@Injectable()
@JobHandler({ queue: 'looks-at-the-clock', localConcurrency: 1, retryLimit: 0 })
class ClockHandler implements JobWorker<string, void> {
  /** What the network had answered when each job began. */
  static readonly answers: number[] = [];
  static network: NetworkProxy;

  constructor(@InjectSession() private readonly session: EntityManager) {}

  handle(text: string): void {
    ClockHandler.answers.push(ClockHandler.network.answers);
    this.session.create(Note, { text });
  }
}

describe('a durable job', () => {
  let database: TestDatabase;
  let network: NetworkProxy;
  let app: TestApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    network = await NetworkProxy.start(database.url);
    ClockHandler.network = network;
    app = await startTestApp({
      databaseUrl: network.url,
      imports: [JobQueueModule.forRoot()],
      providers: [MeetingHandler, ClockHandler],
      orm: { pool: { min: 0, max: POOL_SIZE } },
    });
  });

  afterEach(() => database.query('delete from note; delete from pgboss.job'));

  afterAll(async () => {
    await app.close();
    await network.close();
    await database.drop();
  });

  const runAll = async (queue: 'looks-at-the-clock' | 'meets-the-others'): Promise<void> => {
    await app.get<JobQueue>(JobQueue).sendMany(queue, texts);
    await database.until(`select count(*) = ${JOBS} from pgboss.job where name = $1 and state = 'completed'`, [queue]);
  };

  it('holds no connection before its first statement: more of them wait than the pool has', async () => {
    await runAll('meets-the-others');

    expect(await database.query('select count(*)::int as notes from note')).toEqual([{ notes: JOBS }]);
  });

  it('takes four round trips: the fetch, the first statement with BEGIN, the completion and COMMIT', async () => {
    await runAll('looks-at-the-clock');

    const { answers } = ClockHandler;
    expect(answers).toHaveLength(JOBS);
    // The upkeep of pg-boss comes in between now and then.
    expect(Math.min(...answers.slice(1).map((count, nth) => count - (answers[nth] ?? 0)))).toBe(4);
  });
});
