import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, type Type } from '@nestjs/common';
import { InjectSession, type JobWorker, type TransactionDefaults } from 'nestjs-mikro-session';
import { JobHandler, type JobHandlerOptions, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { CapturedLog } from '../support/captured-log.js';
import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    levels: null;
  }
}

type Options = Omit<JobHandlerOptions, 'queue'>;

/** Makes a handler that notes what its transaction is. */
function handlerOf(options: Options): Type<JobWorker<null, void>> {
  @Injectable()
  @JobHandler({ retryLimit: 0, ...options, queue: 'levels' })
  class LevelHandler implements JobWorker<null, void> {
    constructor(@InjectSession() private readonly session: EntityManager) {}

    async handle(): Promise<void> {
      const [row] = await this.session.execute<[{ text: string }]>(
        `select current_setting('transaction_isolation') || ', ' || current_setting('transaction_read_only') as text`,
      );
      this.session.create(Note, { text: row.text });
    }
  }
  return LevelHandler;
}

describe('the transaction of a handler', () => {
  let database: TestDatabase;
  let running: TestApp | undefined;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterEach(async () => {
    await running?.close();
    running = undefined;
    await database.query('drop schema if exists pgboss cascade');
    await database.query('delete from note');
  });

  afterAll(() => database.drop());

  async function start(transactions: TransactionDefaults, options: Options): Promise<JobQueue> {
    running = await startTestApp({
      databaseUrl: database.url,
      session: { transactions },
      imports: [JobQueueModule.forRoot()],
      providers: [handlerOf(options)],
    });
    return running.get(JobQueue);
  }

  const untilEnded = (): Promise<void> =>
    database.until(`select count(*) = 1 from pgboss.job where state in ('completed', 'failed')`);

  it.each<[TransactionDefaults, Options, string]>([
    [{ isolationLevel: 'serializable' }, {}, 'serializable, off'],
    [{}, { transaction: { isolationLevel: 'repeatable read' } }, 'repeatable read, off'],
    [
      { isolationLevel: 'serializable' },
      { transaction: { isolationLevel: 'read committed' }, heartbeatSeconds: 10 },
      'read committed, off',
    ],
    [{ readOnly: true }, {}, 'read committed, off'],
    [{ readOnly: true }, { transaction: { isolationLevel: 'serializable' } }, 'serializable, off'],
    [{ readOnly: true }, { chunkSize: 10 }, 'read committed, off'],
  ])('with the defaults %j and the options %j is %s', async (transactions, options, text) => {
    const queue = await start(transactions, options);

    await queue.send('levels', null);

    await untilEnded();
    expect(await database.query('select state, output from pgboss.job')).toMatchObject([{ state: 'completed' }]);
    expect(await database.query('select text from note')).toEqual([{ text }]);
  });

  it('is not read-only', async () => {
    const starting = start({}, { transaction: { readOnly: true } as never });

    await expect(starting).rejects.toThrow(TypeError);
    await expect(starting).rejects.toThrow('`transaction.readOnly`');
  });

  it('has options that are known', async () => {
    const starting = start({}, { transaction: { isolationLevel: 'strict' as never } });

    await expect(starting).rejects.toThrow(TypeError);
    await expect(starting).rejects.toThrow(
      '@JobHandler() on "LevelHandler": Expected `transaction.isolationLevel` to be',
    );
  });

  it.each<[TransactionDefaults, Options]>([
    [{ isolationLevel: 'repeatable read' }, {}],
    [{}, { transaction: { isolationLevel: 'serializable' } }],
  ])('cannot have a heartbeat with the defaults %j and the options %j', async (transactions, options) => {
    await expect(start(transactions, { ...options, heartbeatSeconds: 10 })).rejects.toThrow(
      /The handler "LevelHandler" of the queue "levels" has transactions with the isolation level "(repeatable read|serializable)", and its jobs have a heartbeat/,
    );
  });

  it('is not begun for a job with a heartbeat of its own at such a level', async () => {
    using _log = new CapturedLog();
    const queue = await start({ isolationLevel: 'repeatable read' }, {});

    await queue.send('levels', null, { heartbeatSeconds: 10 });

    await untilEnded();
    const [job] = await database.query<{ output: { message: string } }>('select output from pgboss.job');
    expect(job?.output.message).toContain('has transactions with the isolation level "repeatable read"');
    expect(await database.query('select text from note')).toEqual([]);
  });
});
