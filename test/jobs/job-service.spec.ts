import { setImmediate as nextTurn } from 'node:timers/promises';

import { EntityManager } from '@mikro-orm/postgresql';
import { Inject, Injectable } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import {
  InjectSession,
  type JobContext,
  JobError,
  type JobProgress,
  JobService,
  SessionClosedError,
  SessionContext,
  SessionSetupError,
} from 'nestjs-mikro-session';

import { findTexts } from '../support/find-texts.js';
import { Note } from '../support/note.entity.js';
import { injections, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

@Injectable()
class Notes {
  constructor(@InjectSession() readonly session: EntityManager) {}

  add(text: string): number {
    this.session.create(Note, { text });
    return this.session.id;
  }
}

@Injectable()
class NoteWorker {
  constructor(
    private readonly notes: Notes,
    @InjectSession() private readonly session: EntityManager,
    private readonly context: SessionContext,
  ) {}

  async handle(input: number, job: JobContext): Promise<{ ids: number[]; label: string }> {
    const ids = [this.notes.add(`${job.index}:${input}`), this.session.id, this.context.current.id];
    await this.session.flush();
    if (input < 0) {
      throw new RangeError(`${input} is negative`);
    }
    return { ids, label: this.context.scope.label };
  }
}

@Injectable()
class RequestWorker {
  constructor(
    @Inject(REQUEST) private readonly request: JobContext,
    @InjectSession() readonly session: EntityManager,
  ) {}

  handle(_input: number, job: JobContext): boolean {
    return this.request === job;
  }
}

class NowhereProvided {
  handle(input: number): number {
    return input;
  }
}

class WithoutHandle {}

describe.each(injections)('JobService with %s injection', (injection) => {
  let database: TestDatabase;
  let app: TestApp;
  let jobs: JobService<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({
      databaseUrl: database.url,
      session: { injection },
      providers: [Notes, NoteWorker, RequestWorker],
    });
    jobs = app.get(JobService);
  });

  afterEach(() => database.query('delete from note'));

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  const texts = (): Promise<string[]> => findTexts(database, 'text');

  describe('map', () => {
    it('gives the results in the order of the inputs', async () => {
      const gates = [3, 2, 1].map(() => Promise.withResolvers<void>());
      const finished: number[] = [];

      const results = jobs.map([3, 2, 1], async (_session, input, { index }) => {
        await gates[index]!.promise;
        finished.push(index);
        gates[index - 1]?.resolve();
        return input * input;
      });
      gates[2]!.resolve();

      expect(await results).toEqual([9, 4, 1]);
      expect(finished).toEqual([2, 1, 0]);
    });

    it('takes any iterable', async () => {
      function* numbers(): Generator<number> {
        yield* [1, 2, 3];
      }

      expect(await jobs.map(numbers(), (_session, n) => n + 1)).toEqual([2, 3, 4]);
      expect(await jobs.map(new Set(['a', 'b']), (_session, s) => s.toUpperCase())).toEqual(['A', 'B']);
      expect(await jobs.map([], (_session, n) => n)).toEqual([]);
    });

    it('gives each job a session of its own, which is closed when the job has ended', async () => {
      const sessions = await jobs.map(Array(20).keys(), (session) => session);

      expect(new Set(sessions).size).toBe(20);
      for (const session of sessions) {
        expect(() => session.clear()).toThrow(SessionClosedError);
      }
    });

    it('commits each job that returns', async () => {
      await jobs.map(['a', 'b', 'c'], (session, text) => {
        session.create(Note, { text });
      });

      expect(await texts()).toEqual(['a', 'b', 'c']);
    });

    it('makes a class per job, whose whole tree of providers gets the session of that job', async () => {
      const results = await jobs.map([1, 2, 3], NoteWorker);

      expect(results.map(({ ids }) => new Set(ids).size)).toEqual([1, 1, 1]);
      expect(new Set(results.map(({ ids }) => ids[0])).size).toBe(3);
      expect(results.map(({ label }) => label)).toEqual([
        'job 0 of NoteWorker',
        'job 1 of NoteWorker',
        'job 2 of NoteWorker',
      ]);
      expect(await texts()).toEqual(['0:1', '1:2', '2:3']);
    });

    it('waits for every job and throws an AggregateError with the place, input and cause of each failure', async () => {
      const failure = await jobs.map([1, -2, 3, -4], NoteWorker).catch((error: unknown) => error);

      expect(failure).toBeInstanceOf(AggregateError);
      const { errors, message } = failure as AggregateError;
      expect(message).toBe('2 of 4 jobs of NoteWorker failed');
      expect(errors).toEqual([expect.any(JobError), expect.any(JobError)]);
      expect(errors).toMatchObject([
        { index: 1, input: -2, code: 'JOB_FAILED', cause: expect.any(RangeError) },
        { index: 3, input: -4, message: 'Job 3 of NoteWorker failed on a number: -4 is negative' },
      ]);
      expect(await texts()).toEqual(['0:1', '2:3']);
    });
  });

  describe('settle', () => {
    it('gives one outcome per input and does not let one job touch another', async () => {
      const outcomes = await jobs.settle([1, -2, 3], NoteWorker);

      expect(outcomes).toMatchObject([
        { status: 'fulfilled', index: 0, input: 1, attempts: 1 },
        { status: 'rejected', index: 1, input: -2, reason: { message: '-2 is negative' }, attempts: 1 },
        { status: 'fulfilled', index: 2, input: 3, attempts: 1 },
      ]);
      expect(await texts()).toEqual(['0:1', '2:3']);
    });

    it('runs as many jobs at once as asked for', async () => {
      const counts = await countAtOnce({ concurrency: 3 });

      expect(Math.max(...counts)).toBe(3);
    });

    it('runs 4 jobs at once by default', async () => {
      const counts = await countAtOnce({});

      expect(Math.max(...counts)).toBe(4);
    });

    it('runs more jobs at once than the pool has connections, when told to', async () => {
      const counts = await countAtOnce({ concurrency: 50 });

      expect(Math.max(...counts)).toBe(12);
    });

    it('starts no job after the signal aborted, and lets the running ones finish when told to', async () => {
      const cancel = new AbortController();
      const progress: JobProgress[] = [];

      const outcomes = await jobs.settle(
        [1, 2, 3, 4],
        (session, n, { signal }) => {
          session.create(Note, { text: String(n) });
          if (n === 2) {
            cancel.abort(new Error('enough'));
          }
          return signal.aborted;
        },
        { concurrency: 1, signal: cancel.signal, whenAborted: 'finish', onProgress: (one) => progress.push(one) },
      );

      expect(outcomes).toMatchObject([
        { status: 'fulfilled', value: false },
        { status: 'fulfilled', value: true },
        { status: 'rejected', reason: { message: 'enough' }, attempts: 0 },
        { status: 'rejected', reason: { message: 'enough' }, attempts: 0 },
      ]);
      expect(progress.at(-1)).toMatchObject({ done: 2, failed: 0, total: 4 });
      expect(await texts()).toEqual(['1', '2']);
    });

    it('leaves the commit to the worker when asked for no transaction', async () => {
      await jobs.map(
        [1, 2],
        async (session, n) => {
          session.create(Note, { text: String(n) });
          if (n === 1) {
            await session.flush();
          }
        },
        { transaction: 'none' },
      );

      expect(await texts()).toEqual(['1']);
    });

    it('passes the options of the transaction on', async () => {
      const [level] = await jobs.map(
        [1],
        async (session) =>
          (await session.execute<[{ level: string }]>(`select current_setting('transaction_isolation') as level`))[0]
            .level,
        { transaction: { isolationLevel: 'serializable' } },
      );

      expect(level).toBe('serializable');
    });

    it('waits for the running jobs when the inputs throw', async () => {
      const gate = Promise.withResolvers<void>();
      function* broken(): Generator<number> {
        yield 1;
        gate.resolve();
        throw new Error('no more');
      }

      const settled = jobs.settle(broken(), async (session, n) => {
        await gate.promise;
        session.create(Note, { text: String(n) });
      });

      await expect(settled).rejects.toThrow('no more');
      expect(await texts()).toEqual(['1']);
    });

    it('hands the job to the class as its REQUEST', async () => {
      expect(await jobs.map([1], RequestWorker)).toEqual([true]);
    });
  });

  it('isolates a job that starts within an open transaction', async () => {
    await app.orm.em.fork().transactional(async (outer) => {
      outer.create(Note, { text: 'outer' });
      await outer.flush();

      const seen = await jobs.map([1, 2], async (session) => [await session.count(Note), await app.orm.em.count(Note)]);

      expect(seen).toEqual([
        [0, 0],
        [0, 0],
      ]);
    });
  });

  it('refuses what is no worker', async () => {
    await expect(jobs.map([1], WithoutHandle as never)).rejects.toThrow(
      new TypeError(
        'Expected the class `WithoutHandle` to have a method `handle(input, job)` or `handleMany(inputs, job)`.',
      ),
    );
    await expect(jobs.map([1], 'square' as never)).rejects.toThrow(TypeError);
  });

  it('refuses a class that is not provided, and says what to do', async () => {
    const mapped = jobs.map([1], NowhereProvided);

    await expect(mapped).rejects.toThrow(SessionSetupError);
    await expect(mapped).rejects.toThrow(
      'The worker "NowhereProvided" is not a provider of this application under its own class. Add the class to the `providers` of a module.',
    );
  });

  /** Runs 12 jobs and tells how many ran at each start. */
  async function countAtOnce(options: { concurrency?: number }): Promise<number[]> {
    let running = 0;
    return jobs.map(
      Array(12).keys(),
      async () => {
        running += 1;
        const seen = running;
        await nextTurn();
        running -= 1;
        return seen;
      },
      { ...options, transaction: 'none' },
    );
  }
});

describe('JobService at shutdown', () => {
  it('waits for the running jobs and starts no more', async () => {
    const database = await createTestDatabase();
    const app = await startTestApp({ databaseUrl: database.url });
    const jobs = app.get<JobService<EntityManager>>(JobService);
    const begun = Promise.withResolvers<void>();
    const told = Promise.withResolvers<void>();

    const outcomes = jobs.settle(
      ['a', 'b'],
      async (session, text, { signal }) => {
        begun.resolve();
        signal.addEventListener('abort', () => told.resolve());
        await told.promise;
        session.create(Note, { text });
      },
      { concurrency: 1 },
    );
    await begun.promise;
    await app.close();

    expect(await outcomes).toMatchObject([
      { status: 'fulfilled' },
      { status: 'rejected', reason: { name: 'AbortError', message: 'The application is shutting down' } },
    ]);
    expect(await database.query('select text from note')).toEqual([{ text: 'a' }]);
    await database.drop();
  });
});
