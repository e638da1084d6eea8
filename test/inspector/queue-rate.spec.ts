import type { EntityManager } from '@mikro-orm/postgresql';
import { InjectSession } from 'nestjs-mikro-session';
import { type InspectorState, SessionInspectorModule } from 'nestjs-mikro-session/inspector';
import { JobHandler, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    measured: 'good' | 'bad';
  }
}

const QUEUE = 'measured';
const UNREAD = 'unread';

@JobHandler({ queue: QUEUE, deadLetter: UNREAD, retryLimit: 0, pollingIntervalSeconds: 0.5 })
class CountingHandler {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  async handle(input: 'good' | 'bad'): Promise<void> {
    await this.session.count(Note);
    if (input === 'bad') {
      throw new Error('This job fails');
    }
  }
}

describe('the rate of a durable queue', () => {
  let database: TestDatabase;
  let app: TestApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({
      databaseUrl: database.url,
      providers: [CountingHandler],
      imports: [JobQueueModule.forRoot(), SessionInspectorModule.forRoot()],
    });
  });

  afterAll(async () => {
    await app.app.close();
    await database.drop();
  });

  /** Waits until so many jobs of the queue have ended. */
  async function ended(count: number): Promise<void> {
    const query = `select 1 from pgboss.job where name = '${QUEUE}' and state in ('completed', 'failed')`;
    for (;;) {
      const rows = await app.orm.em.fork().execute(query);
      if (rows.length === count) {
        return;
      }
    }
  }

  /** Reads the state until the queues are counted. */
  async function readRates(): Promise<Record<string, number>> {
    for (;;) {
      const response = await fetch(`${app.url}/sessions/state`);
      const { queues } = (await response.json()) as InspectorState;
      if (queues !== undefined && queues.queues.length > 0) {
        return Object.fromEntries(queues.queues.map(({ name, rate }) => [name, rate]));
      }
    }
  }

  it('is of the jobs that were completed in the last minute', async () => {
    const queue = app.get<JobQueue<EntityManager>>(JobQueue);
    for (const input of ['good', 'good', 'good', 'good', 'bad'] as const) {
      await queue.send(QUEUE, input);
    }
    await ended(5);
    await app.orm.em.fork().execute(
      `update pgboss.job set completed_on = completed_on - interval '61 seconds'
       where id = (select id from pgboss.job where name = '${QUEUE}' and state = 'completed' limit 1)`,
    );

    const rates = await readRates();

    expect(rates).toEqual({ [QUEUE]: 3 / 60, [UNREAD]: 0 });
  });
});
