import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, type Type } from '@nestjs/common';
import { InjectSession, SessionContext, type JobWorker } from 'nestjs-mikro-session';
import {
  JobDeadLetterError,
  JobHandler,
  type JobHandlerOptions,
  JobQueue,
  JobQueueModule,
  type QueueJobContext,
} from 'nestjs-mikro-session/pg-boss';
import { SessionTesting } from 'nestjs-mikro-session/testing';

import { Note } from '../support/note.entity.js';
import { injections, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    drained: string;
    'drained-dead': string;
    'drained-chunks': string;
    'drained-late': string;
  }
}

type Work = (this: Handled, input: string, job: QueueJobContext) => Promise<unknown>;

interface Handled {
  readonly session: EntityManager;
  readonly queue: JobQueue;
  readonly context: SessionContext<EntityManager>;
}

const works = new Map<string, Work>();

function handlerOf(options: JobHandlerOptions): Type<JobWorker<string, unknown>> {
  @Injectable()
  @JobHandler(options)
  class DrainedHandler implements JobWorker<string, unknown>, Handled {
    constructor(
      @InjectSession() readonly session: EntityManager,
      readonly queue: JobQueue,
      readonly context: SessionContext<EntityManager>,
    ) {}

    async handle(input: string, job: QueueJobContext): Promise<unknown> {
      return works.get(options.queue)?.call(this, input, job);
    }
  }
  return DrainedHandler;
}

describe.each(injections)('SessionTesting.drain(), %s injection', (injection) => {
  let database: TestDatabase;
  let app: TestApp;
  let queue: JobQueue;
  let testing: SessionTesting<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({
      databaseUrl: database.url,
      session: { injection },
      imports: [JobQueueModule.forRoot({ work: false, queues: {} })],
      providers: [
        handlerOf({ queue: 'drained', retryLimit: 1, retryDelay: 0, deadLetter: 'drained-dead' }),
        handlerOf({ queue: 'drained-dead', retryLimit: 0, metadata: true }),
        handlerOf({ queue: 'drained-chunks', retryLimit: 0, chunkSize: 10 }),
        handlerOf({ queue: 'drained-late', retryLimit: 3, retryDelay: 60 }),
      ],
    });
    queue = app.get(JobQueue);
    testing = await SessionTesting.create<EntityManager>(app.app);
  });

  afterAll(async () => {
    await app.app.close();
    await database.drop();
  });

  beforeEach(async () => {
    works.clear();
    await testing.begin();
  });

  afterEach(async () => {
    await testing.rollBack();
    expect(await database.query(`select from note union all select from pgboss.job where state <> 'created'`)).toEqual(
      [],
    );
  });

  const texts = (): Promise<string[]> =>
    testing.run(async (session) => (await session.find(Note, {}, { orderBy: { id: 'asc' } })).map(({ text }) => text));

  it('runs what was sent, and commits it within the test', async () => {
    works.set('drained', async function (text) {
      this.session.create(Note, { text });
      return text.toUpperCase();
    });
    await testing.run(() => queue.send('drained', 'a'));
    await queue.sendMany('drained', ['b', 'c']);

    const { attempts, left } = await testing.drain('drained');

    expect(attempts.map((attempt) => attempt.status === 'fulfilled' && attempt.value)).toEqual(['A', 'B', 'C']);
    expect(left).toEqual([]);
    expect(await texts()).toEqual(['a', 'b', 'c']);
    expect(await testing.run((session) => session.execute('select output from pgboss.job order by output'))).toEqual(
      ['A', 'B', 'C'].map((value) => ({ output: { value } })),
    );
  });

  it('tries no more what a handler says is never to be tried again', async () => {
    works.set('drained', async () => {
      throw new JobDeadLetterError('never');
    });
    works.set('drained-dead', async (text, { metadata }) => `${text} ${metadata?.sourceName}`);
    await queue.send('drained', 'a');

    const { attempts, left } = await testing.drain();

    expect(attempts).toMatchObject([
      { queue: 'drained', attempt: 1, status: 'rejected', next: 'deadLetter' },
      { queue: 'drained-dead', status: 'fulfilled', value: 'a drained' },
    ]);
    expect(left).toEqual([]);
  });

  it('tries again what fails, rolls it back, and drains the dead letters', async () => {
    works.set('drained', async function (text, { attempt }) {
      this.session.create(Note, { text: `${text} ${attempt}` });
      await this.session.flush();
      if (text === 'never' || attempt === 1) {
        throw new Error(`no ${text}`);
      }
    });
    works.set('drained-dead', async function (text) {
      this.session.create(Note, { text: `dead ${text}` });
    });
    await queue.sendMany('drained', ['later', 'never']);

    const { attempts } = await testing.drain();

    expect(
      attempts
        .map(({ input, attempt, queue, ...end }) =>
          [queue, input, attempt, end.status === 'rejected' ? end.next : 'done'].join(' '),
        )
        .toSorted(),
    ).toEqual([
      'drained later 1 retry',
      'drained later 2 done',
      'drained never 1 retry',
      'drained never 2 deadLetter',
      'drained-dead never 1 done',
    ]);
    expect(attempts[0]).toMatchObject({ reason: new Error('no later') });
    expect(await texts()).toEqual(['later 2', 'dead never']);
  });

  it('leaves alone other queues than the one that it is told', async () => {
    works.set('drained', () => queue.send('drained-dead', 'sent by a handler'));
    await queue.send('drained', 'a');

    const one = await testing.drain('drained');
    const others = await testing.drain();

    expect(one.attempts).toHaveLength(1);
    expect(others.attempts).toMatchObject([{ queue: 'drained-dead', input: 'sent by a handler' }]);
  });

  it('runs what its handlers send to a queue that came before', async () => {
    const sent: string[] = [];
    works.set('drained-dead', async function (text) {
      sent.push(text);
      await queue.send('drained', 'again');
    });
    works.set('drained', async (text) => sent.push(text));
    await queue.send('drained-dead', 'first');

    await testing.drain();

    expect(sent).toEqual(['first', 'again']);
  });

  it('runs a chunk, and again without those that fail', async () => {
    works.set('drained-chunks', async function (text) {
      this.session.create(Note, { text });
      if (text === 'c') {
        throw new Error('no c');
      }
    });
    await queue.sendMany('drained-chunks', ['a', 'b', 'c', 'd']);

    const { attempts } = await testing.drain('drained-chunks');

    expect(attempts.filter(({ status }) => status === 'rejected')).toMatchObject([{ input: 'c', next: 'none' }]);
    expect((await texts()).toSorted()).toEqual(['a', 'b', 'd']);
  });

  it('reports what starts later, and runs it when it is told to', async () => {
    works.set('drained-late', async (text, { attempt }) => {
      if (attempt === 1) {
        throw new Error(`no ${text}`);
      }
    });
    await queue.send('drained-late', 'retried');
    await queue.send('drained-late', 'tomorrow', { startAfter: 86_400 });

    const now = await testing.drain('drained-late');
    const later = await testing.drain('drained-late', { ignoreStartAfter: true });

    expect(now.attempts).toMatchObject([{ input: 'retried', next: 'retry' }]);
    expect(now.left).toMatchObject([
      { input: 'retried', attempt: 2 },
      { input: 'tomorrow', attempt: 1 },
    ]);
    expect(Number(now.left[1]?.startAfter) - Date.now()).toBeGreaterThan(86_000_000);
    expect(later.attempts.map(({ input, attempt, status }) => `${String(input)} ${attempt} ${status}`)).toEqual([
      'retried 2 fulfilled',
      'tomorrow 1 rejected',
      'tomorrow 2 fulfilled',
    ]);
    expect(later.left).toEqual([]);
  });

  it('gives a job the info that it was sent with', async () => {
    works.set('drained', async function () {
      return this.context.scope?.info['tenant'];
    });
    await testing.as({ info: { tenant: 'acme' } }).run(() => queue.send('drained', 'a'));

    const { attempts } = await testing.drain('drained');

    expect(attempts).toMatchObject([{ value: 'acme' }]);
  });

  it('ends where handlers send for ever', async () => {
    works.set('drained', (text) => queue.send('drained', `${text}+`));
    await queue.send('drained', 'a');

    await expect(testing.drain('drained', { limit: 5 })).rejects.toThrow(
      /has made 5 attempts at jobs, and more are left/,
    );
  });

  it('leaves alone jobs that were not sent in the test', async () => {
    await testing.rollBack();
    testing.end();
    const id = await queue.send('drained', 'before');
    await testing.begin();
    await queue.send('drained', 'within');

    const { attempts, left } = await testing.drain('drained');

    await testing.rollBack();
    const jobs = await database.query('delete from pgboss.job returning id, state, start_after < now() as ready');
    expect(attempts).toMatchObject([{ input: 'within' }]);
    expect(left).toEqual([]);
    expect(jobs).toEqual([{ id, state: 'created', ready: true }]);
  });

  it('fails a job that has expired', async () => {
    works.set('drained-dead', (_text, job) => new Promise((resolve) => job.signal.addEventListener('abort', resolve)));
    await queue.send('drained-dead', 'slow', { expireInSeconds: 1 });

    const { attempts } = await testing.drain('drained-dead');

    expect(attempts).toMatchObject([{ status: 'rejected', reason: new Error('handler execution exceeded 1s') }]);
  });

  it('ends with the test', async () => {
    const begun = Promise.withResolvers<void>();
    works.set('drained', (_text, job) => {
      begun.resolve();
      return new Promise((resolve) => job.signal.addEventListener('abort', resolve));
    });
    await queue.send('drained', 'a');
    const [drained] = await Promise.all([
      Promise.allSettled([testing.drain('drained')]),
      begun.promise.then(() => testing.rollBack()),
    ]);

    expect(drained).toMatchObject([
      { reason: { message: expect.stringMatching(/was running jobs when their test was rolled back/) as string } },
    ]);
  });

  it('refuses at once to be called in a transaction', async () => {
    await queue.send('drained', 'a');

    const draining = testing.run(async (session) => {
      await session.count(Note);
      return testing.drain('drained');
    });

    await expect(draining).rejects.toThrow(/was called in an open transaction, whose connection the jobs need/);
  });

  it('refuses a queue without a handler', async () => {
    await expect(testing.drain('nobody' as 'drained')).rejects.toThrow(/found no handler of queue "nobody"/);
  });
});
