import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { InjectSession, type JobChunkWorker, type JobWorker, SessionContext } from 'nestjs-mikro-session';
import { JobHandler, JobQueue, JobQueueModule, type QueueJobContext } from 'nestjs-mikro-session/pg-boss';

import { CapturedLog } from '../support/captured-log.js';
import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    texts: string;
    'held-texts': string;
    'fetched-texts': string;
    'many-texts': string;
  }
}

class TextTooLongError extends Error {
  readonly code = 'E_TOO_LONG';

  constructor(
    readonly text: string,
    options?: ErrorOptions,
  ) {
    super(`The text is too long: ${text}`, options);
  }
}

@Injectable()
class TextHandler implements JobWorker<string, unknown> {
  constructor(
    @InjectSession() protected readonly session: EntityManager,
    protected readonly context: SessionContext,
  ) {}

  async handle(text: string, { index, attempt, id, queue }: QueueJobContext): Promise<unknown> {
    this.session.create(Note, { text });
    switch (text) {
      case 'too long':
        throw new TextTooLongError(text, { cause: new RangeError('more than 7 characters') });
      case 'no error':
        throw text;
      case 'refused at the commit':
        await this.session.execute(`create constraint trigger late after insert on note deferrable initially deferred
          for each row execute function refuse()`);
        return undefined;
      case 'silent':
        return undefined;
      default:
        return { text, index, attempt, id, queue, scope: this.context.scope.label };
    }
  }
}

@Injectable()
@JobHandler({ queue: 'texts', retryLimit: 0, localConcurrency: 2 })
class OneByOne extends TextHandler {}

@Injectable()
@JobHandler({ queue: 'fetched-texts', retryLimit: 0, localConcurrency: 1, prefetch: 5 })
class Prefetched extends TextHandler {}

/** Waits, with what it has written, until the test lets it go on. */
@Injectable()
@JobHandler({ queue: 'held-texts', retryLimit: 0, localConcurrency: 1 })
class HeldHandler implements JobWorker<string, void> {
  static written = Promise.withResolvers<void>();
  static goOn = Promise.withResolvers<void>();
  static late: Promise<unknown> | undefined;

  constructor(@InjectSession() private readonly session: EntityManager) {}

  async handle(text: string): Promise<void> {
    this.session.create(Note, { text });
    await this.session.flush();
    HeldHandler.late = HeldHandler.goOn.promise.then(() => this.session.count(Note));
    HeldHandler.written.resolve();
    await HeldHandler.goOn.promise;
  }
}

@Injectable()
@JobHandler({ queue: 'many-texts', retryLimit: 0, localConcurrency: 1, chunkSize: 10 })
class ManyHandler implements JobChunkWorker<string, string> {
  static readonly sizes: number[] = [];

  constructor(@InjectSession() private readonly session: EntityManager) {}

  handleMany(texts: readonly string[]): string[] {
    ManyHandler.sizes.push(texts.length);
    texts.forEach((text) => this.session.create(Note, { text }));
    if (texts.includes('too long')) {
      throw new TextTooLongError('too long');
    }
    return texts.map((text) => text.toUpperCase());
  }
}

describe('JobHandler', () => {
  let database: TestDatabase;
  let app: TestApp;
  let queue: JobQueue;

  beforeAll(async () => {
    database = await createTestDatabase();
    await database.query(`create function refuse() returns trigger language plpgsql as
      $$ begin raise exception 'refused at the commit' using errcode = '23514'; end $$`);
    app = await startTestApp({
      databaseUrl: database.url,
      imports: [JobQueueModule.forRoot()],
      providers: [
        OneByOne,
        {
          provide: Prefetched,
          useFactory: (em: EntityManager, context: SessionContext) => new Prefetched(em, context),
          inject: [EntityManager, SessionContext],
        },
        HeldHandler,
        ManyHandler,
      ],
    });
    queue = app.get(JobQueue);
  });

  afterEach(async () => {
    await database.query('delete from pgboss.job');
    await database.query('delete from note');
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  async function untilEnded(count: number): Promise<void> {
    await database.until(`select count(*) = $1 from pgboss.job where state >= 'completed'`, [count]);
  }

  async function findJobs(): Promise<{ state: string; output: unknown }[]> {
    return database.query(`select state, output from pgboss.job order by data -> 'index' nulls first`);
  }

  async function findTexts(): Promise<string[]> {
    const rows = await database.query<{ text: string }>('select text from note order by text');
    return rows.map(({ text }) => text);
  }

  describe('of one job at a time', () => {
    it('tells its job of itself, and stores what it returns', async () => {
      await queue.sendMany('texts', ['first', 'second']);
      await untilEnded(2);

      const [first, second] = await database.query<{ id: string; output: object }>(
        `select id, output from pgboss.job order by data -> 'index' nulls first`,
      );
      const told = { attempt: 1, queue: 'texts' };
      expect(first?.output).toEqual({
        ...told,
        text: 'first',
        index: 0,
        id: first?.id,
        scope: `job ${first?.id} of queue "texts"`,
      });
      expect(second?.output).toMatchObject({ ...told, text: 'second', index: 1, id: second?.id });
      expect(await findTexts()).toEqual(['first', 'second']);
    });

    it('stores name, message, code and causes of an error, and nothing else that hangs on it', async () => {
      await queue.send('texts', 'too long');
      await untilEnded(1);

      expect(await findJobs()).toEqual([
        {
          state: 'failed',
          output: {
            name: 'TextTooLongError',
            message: 'The text is too long: too long',
            code: 'E_TOO_LONG',
            stack: expect.stringContaining('job-handler.spec'),
            cause: { name: 'RangeError', message: 'more than 7 characters' },
          },
        },
      ]);
      expect(await findTexts()).toEqual([]);
    });

    it('stores what was thrown, where that is no error', async () => {
      await queue.send('texts', 'no error');
      await untilEnded(1);

      expect(await findJobs()).toMatchObject([{ state: 'failed', output: { name: 'string', message: 'no error' } }]);
    });

    it('fails with its commit, and keeps nothing', async () => {
      await queue.send('texts', 'refused at the commit');
      await untilEnded(1);

      expect(await findJobs()).toMatchObject([
        { state: 'failed', output: { message: expect.stringContaining('refused at the commit'), code: '23514' } },
      ]);
      expect(await findTexts()).toEqual([]);
    });

    it('says what is wrong with a job that something else has sent in another form', async () => {
      const boss = await queue.boss();
      const id = await boss.send('texts', { text: 'hello' });
      await untilEnded(1);

      expect(await findJobs()).toMatchObject([
        {
          state: 'failed',
          output: {
            name: 'TypeError',
            message:
              `Expected the data of the job ${id} of queue "texts" to have its input in the field \`input\`, got ` +
              "`{ text: 'hello' }`. Send it with JobQueue.send(), or as `{ input }`.",
          },
        },
      ]);
    });

    it('takes a job that something else has sent in the right form', async () => {
      const boss = await queue.boss();
      await boss.send('texts', { input: 'silent' });
      await untilEnded(1);

      expect(await findJobs()).toEqual([{ state: 'completed', output: null }]);
      expect(await findTexts()).toEqual(['silent']);
    });
  });

  describe('whose claim is gone when it is done', () => {
    it('has written nothing, and warns', async () => {
      using log = new CapturedLog();
      HeldHandler.written = Promise.withResolvers();
      HeldHandler.goOn = Promise.withResolvers();
      const id = (await queue.send('held-texts', 'hello')) ?? '';
      await HeldHandler.written.promise;

      await queue.cancel('held-texts', id);
      HeldHandler.goOn.resolve();

      const boss = await queue.boss();
      await boss.offWork('held-texts');
      expect(await findTexts()).toEqual([]);
      expect(await findJobs()).toMatchObject([{ state: 'cancelled', output: null }]);
      expect(log.warnings).toEqual([
        expect.stringContaining(
          `The work on job ${id} of queue "held-texts" was rolled back, because its claim was gone`,
        ),
      ]);
      await expect(HeldHandler.late).resolves.toBe(1);
    });
  });

  describe('with prefetched jobs', () => {
    it('commits each by itself, and lets one that fails be', async () => {
      await queue.sendMany('fetched-texts', ['one', 'too long', 'three', 'no error', 'five', 'six']);
      await untilEnded(6);

      expect((await findJobs()).map(({ state }) => state)).toEqual([
        'completed',
        'failed',
        'completed',
        'failed',
        'completed',
        'completed',
      ]);
      expect(await findTexts()).toEqual(['five', 'one', 'six', 'three']);
    });
  });

  describe('of many jobs at a time', () => {
    it('gets them at once, and stores what it gives for each', async () => {
      ManyHandler.sizes.length = 0;

      await queue.sendMany('many-texts', ['a', 'b', 'c']);
      await untilEnded(3);

      expect(await findJobs()).toEqual(['A', 'B', 'C'].map((value) => ({ state: 'completed', output: { value } })));
      expect(ManyHandler.sizes).toEqual([3]);
    });

    it('gets them again without the one that fails', async () => {
      await queue.sendMany('many-texts', ['a', 'b', 'too long', 'd']);
      await untilEnded(4);

      expect(await findJobs()).toMatchObject([
        { state: 'completed', output: { value: 'A' } },
        { state: 'completed', output: { value: 'B' } },
        { state: 'failed', output: { name: 'TextTooLongError', code: 'E_TOO_LONG' } },
        { state: 'completed', output: { value: 'D' } },
      ]);
      expect(await findTexts()).toEqual(['a', 'b', 'd']);
    });
  });
});
