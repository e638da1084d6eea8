import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { InjectSession, type JobWorker } from 'nestjs-mikro-session';
import { JobHandler, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { NetworkProxy } from '../support/network-proxy.js';
import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    'far-notes': string;
  }
}

@Injectable()
@JobHandler({ queue: 'far-notes', localConcurrency: 2, expireInSeconds: 3, retryLimit: 5, retryDelay: 0 })
class FarNoteHandler implements JobWorker<string, void> {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  async handle(text: string): Promise<void> {
    await this.session.execute(`select 'work of a job'`);
    this.session.create(Note, { text });
  }
}

describe('durable jobs on a network that swallows everything', () => {
  let database: TestDatabase;
  let network: NetworkProxy;

  beforeAll(async () => {
    database = await createTestDatabase();
    network = await NetworkProxy.start(database.url);
  });

  afterAll(async () => {
    await network.close();
    await database.drop();
  });

  const start = (): Promise<TestApp> =>
    startTestApp({
      databaseUrl: network.url,
      imports: [JobQueueModule.forRoot({ boss: { superviseIntervalSeconds: 1, maintenanceIntervalSeconds: 1 } })],
      providers: [FarNoteHandler],
    });

  it('let the application close, and are not lost', async () => {
    const app = await start();
    const isDead = network.once('statement', /work of a job/, () => network.swallow());
    await app.get<JobQueue>(JobQueue).send('far-notes', 'kept');
    await isDead;
    const from = Date.now();

    await app.app.close();
    const took = Date.now() - from;
    await network.heal();
    const next = await start();
    await database.until(`select count(*) = 1 from pgboss.job where state = 'completed'`);
    await next.app.close();

    expect(took).toBeLessThan(5_000);
    expect(await database.query('select text from note')).toEqual([{ text: 'kept' }]);
  }, 20_000);

  it('let an idle application close', async () => {
    const app = await start();
    network.swallow();
    const from = Date.now();

    await app.app.close();
    const took = Date.now() - from;
    await network.heal();

    expect(took).toBeLessThan(5_000);
  });
});
