import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { InjectSession, type JobChunkWorker, type JobWorker } from 'nestjs-mikro-session';
import { JobHandler, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { CapturedLog } from '../support/captured-log.js';
import { NetworkProxy } from '../support/network-proxy.js';
import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    'alone-on-the-wire': string;
    'ahead-on-the-wire': string;
    'together-on-the-wire': string;
  }
}

const policy = { retryLimit: 3, retryDelay: 0, localConcurrency: 1 } as const;

@Injectable()
@JobHandler({ queue: 'alone-on-the-wire', ...policy })
class AloneHandler implements JobWorker<string, void> {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  handle(text: string): void {
    this.session.create(Note, { text });
  }
}

@Injectable()
@JobHandler({ queue: 'ahead-on-the-wire', ...policy, prefetch: 10 })
class AheadHandler extends AloneHandler {}

@Injectable()
@JobHandler({ queue: 'together-on-the-wire', ...policy, chunkSize: 10 })
class TogetherHandler implements JobChunkWorker<string, void> {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  handleMany(texts: readonly string[]): void[] {
    return texts.map((text) => void this.session.create(Note, { text }));
  }
}

describe('a durable job whose commit is lost', () => {
  let database: TestDatabase;
  let network: NetworkProxy;
  let app: TestApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    network = await NetworkProxy.start(database.url);
    app = await startTestApp({
      databaseUrl: network.url,
      imports: [JobQueueModule.forRoot()],
      providers: [AloneHandler, AheadHandler, TogetherHandler],
    });
  });

  afterEach(async () => {
    await network.heal();
    await database.query('delete from note');
  });

  afterAll(async () => {
    await app.close();
    await network.close();
    await database.drop();
  });

  const queues = ['alone-on-the-wire', 'ahead-on-the-wire', 'together-on-the-wire'] as const;
  const moments = ['statement', 'answer'] as const;

  it.each(queues.flatMap((name) => moments.map((moment) => ({ name, moment }))))(
    'takes effect exactly once when the connection is cut at the $moment: $name',
    async ({ name, moment }) => {
      using log = new CapturedLog();
      const cut = network.once(moment, /^commit$/i, (link) => link.cut());
      const queue = app.get<JobQueue>(JobQueue);

      await queue.sendMany(name, ['one', 'two', 'three']);
      await cut;
      await database.until(
        `select count(*) = 3 from pgboss.job where name = $1 and state = 'completed'
       and not exists (select from pgboss.job where name = $1 and state in ('active', 'created', 'retry'))`,
        [name],
      );

      expect(await database.query('select text from note order by text')).toEqual([
        { text: 'one' },
        { text: 'three' },
        { text: 'two' },
      ]);
      // Nobody else has taken the jobs from it.
      expect(log.warnings.filter((warning) => /claim/.test(warning))).toEqual([]);
      await database.query('delete from pgboss.job where name = $1', [name]);
    },
  );
});
