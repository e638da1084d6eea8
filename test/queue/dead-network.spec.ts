import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { InjectSession, type JobWorker, SessionFactory } from 'nestjs-mikro-session';
import { JobHandler, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { CapturedLog } from '../support/captured-log.js';
import { NetworkProxy } from '../support/network-proxy.js';
import { Note } from '../support/note.entity.js';
import { poll } from '../support/poll.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    'far-notes': string;
    'lone-far-notes': string;
    sleepy: string;
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

@Injectable()
@JobHandler({ queue: 'lone-far-notes', localConcurrency: 1 })
class LoneFarNoteHandler implements JobWorker<string, void> {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  handle(text: string): void {
    this.session.create(Note, { text });
  }
}

/** Looks for jobs when it is woken. */
@Injectable()
@JobHandler({ queue: 'sleepy', localConcurrency: 1, pollingIntervalSeconds: 60, notifyPollingIntervalSeconds: 60 })
class SleepyHandler extends LoneFarNoteHandler {}

interface Pool {
  connect(): Promise<{ readonly connectionParameters: { readonly query_timeout: unknown }; release(): void }>;
}

/** The database of pg-boss that is its own. */
interface OwnDatabase {
  readonly pool: Pool;
  readonly config: unknown;
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

    await app.close();
    const took = Date.now() - from;
    await network.heal();
    const next = await start();
    await database.until(`select count(*) = 1 from pgboss.job where state = 'completed'`);
    await next.close();

    expect(took).toBeLessThan(5_000);
    expect(await database.query('select text from note')).toEqual([{ text: 'kept' }]);
  }, 20_000);

  it('let an idle application close', async () => {
    const app = await start();
    network.swallow();
    const from = Date.now();

    await app.close();
    const took = Date.now() - from;
    await network.heal();

    expect(took).toBeLessThan(5_000);
  });

  it.each([
    ['a fetch', /skip locked[^]*started_on/i],
    ['the listener', /pg_listening_channels/],
    ['the listener, while nothing is sent', /^listen/i],
  ] as const)('let the application close when one connection alone is dead: that of %s', async (_whose, text) => {
    const isIdle = text.source.startsWith('^');
    const dead = network.once(isIdle ? 'answered' : 'statement', text, (link) => link.swallow());
    const boss = isIdle ? {} : { notifyHeartbeatIntervalMs: 100 };
    const app = await startTestApp({
      databaseUrl: network.url,
      imports: [JobQueueModule.forRoot({ boss })],
      providers: [LoneFarNoteHandler],
    });
    await dead;
    const from = Date.now();

    await app.close();

    expect(Date.now() - from).toBeLessThan(5_000);
  });

  it('are fetched when the network is back, by a lane that waits for the answer to a fetch', async () => {
    const app = await startTestApp({
      databaseUrl: network.url,
      imports: [JobQueueModule.forRoot({ boss: { query_timeout: 1_000 } })],
      providers: [LoneFarNoteHandler],
    });
    using log = new CapturedLog();
    await network.once('statement', /skip locked[^]*started_on/i, () => network.swallow());
    await database.query('delete from note');

    await network.heal();
    await app.get<JobQueue>(JobQueue).send('lone-far-notes', 'late');
    await database.until(`select count(*) = 1 from pgboss.job where name = 'lone-far-notes' and state = 'completed'`);
    await poll('the fetch is given up', async () => log.warnings.length > 0);
    await app.close();

    expect(await database.query('select text from note')).toEqual([{ text: 'late' }]);
    // It is tried again: nothing was lost that an error would be for.
    expect(log.errors).toEqual([]);
    expect(log.warnings).toContainEqual(
      expect.stringMatching(/^pg-boss got no answer, and tries again: Query read timeout \(Queue: lone-far-notes, /),
    );
  }, 20_000);

  it('are fetched soon when the connection of a fetch alone is dead, and sent when that of a sender is', async () => {
    const app = await startTestApp({
      databaseUrl: network.url,
      imports: [JobQueueModule.forRoot()],
      providers: [LoneFarNoteHandler],
    });
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    const queue = app.get<JobQueue>(JobQueue);
    await network.once('statement', /skip locked[^]*started_on/i, (link) => link.swallow());
    const isDead = network.once('statement', /from pgboss\.queue/i, (link) => link.swallow());
    const lost = factory.begin(() => queue.sendMany('lone-far-notes', ['sent'])).catch((error: unknown) => error);
    await isDead;

    expect(await lost).toMatchObject({ message: expect.stringMatching(/terminated/) });
    await factory.begin(() => queue.sendMany('lone-far-notes', ['sent again']));
    await database.until(`select count(*) = 1 from note where text = 'sent again'`);
    await app.close();
  }, 25_000);

  it('wake their lanes again when the listener lost its connection, and the next one before it listened', async () => {
    const app = await startTestApp({
      databaseUrl: network.url,
      imports: [
        JobQueueModule.forRoot({
          boss: { query_timeout: 500, notifyHeartbeatIntervalMs: 100, notifyHeartbeatTimeoutMs: 100 },
        }),
      ],
      providers: [SleepyHandler],
    });
    const areDead = [/pg_listening_channels/, /^listen/i].map((text) =>
      network.once('statement', text, (link) => link.swallow()),
    );
    await Promise.all(areDead);

    await network.once('answered', /^listen/i);
    await app.get<JobQueue>(JobQueue).send('sleepy', 'heard');
    await database.until(`select count(*) = 1 from pgboss.job where name = 'sleepy' and state = 'completed'`);
    await app.close();

    expect(await database.query(`select text from note where text = 'heard'`)).toHaveLength(1);
  }, 25_000);

  it('wait a minute at most for the answer to a fetch, and to LISTEN', async () => {
    const app = await start();
    const boss = await app.get<JobQueue>(JobQueue).boss();

    const { pool, config } = boss.getDb() as unknown as OwnDatabase;
    const client = await pool.connect();
    const { query_timeout: limit } = client.connectionParameters;
    client.release();
    await app.close();

    expect({ limit, config }).toEqual({ limit: 60_000, config: expect.objectContaining({ query_timeout: 60_000 }) });
  });
});
