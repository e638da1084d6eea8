import { EntityManager } from '@mikro-orm/postgresql';
import { Inject, Injectable } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import * as fc from 'fast-check';
import {
  InjectSession,
  type JobChunkWorker,
  type JobContext,
  type JobOptions,
  type JobOutcome,
  JobService,
  type JobWorker,
  SessionContext,
} from 'nestjs-mikro-session';

import { findTexts } from '../support/find-texts.js';
import { Note } from '../support/note.entity.js';
import { injections } from '../support/test-app.js';
import { useTestApp } from '../support/use-test-app.js';

const fates = ['fine', 'throws', 'throws after its flush', 'is refused', 'fails at commit', 'swallows'] as const;

interface Input {
  /** Unique in the table, so that the second of two is refused. */
  readonly key: number;
  readonly fate: (typeof fates)[number];
}

async function write(session: EntityManager, { key, fate }: Input): Promise<string> {
  if (fate === 'throws') {
    throw new Error(`told to fail on ${key}`);
  }
  const text = fate === 'is refused' || fate === 'fails at commit' ? `${fate} ${key}` : `${key}`;
  session.create(Note, { text });
  if (fate === 'swallows') {
    await session.execute('select 1 / 0').catch(() => undefined);
  }
  if (fate === 'throws after its flush') {
    await session.flush();
    throw new Error(`told to fail late on ${key}`);
  }
  return text;
}

@Injectable()
class WriteWorker implements JobWorker<Input, string> {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  handle(input: Input): Promise<string> {
    return write(this.session, input);
  }
}

@Injectable()
class WriteManyWorker implements JobChunkWorker<Input, string> {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  async handleMany(inputs: readonly Input[]): Promise<string[]> {
    const texts: string[] = [];
    for (const input of inputs) {
      texts.push(await write(this.session, input));
    }
    return texts;
  }
}

/** Tells in its results how it was called. */
@Injectable()
class TellingWorker implements JobWorker<number, string>, JobChunkWorker<number, string> {
  constructor(@Inject(REQUEST) private readonly request: JobContext) {}

  handle(input: number, job: JobContext): string {
    return `handle(${input}) at ${job.index}${this.request === job ? '' : ' of another job'}`;
  }

  handleMany(inputs: readonly number[], job: JobContext): string[] {
    return inputs.map(
      () => `handleMany(${inputs.join()}) at ${job.index}${this.request === job ? '' : ' of another job'}`,
    );
  }
}

@Injectable()
class ForgetfulWorker implements JobChunkWorker<number, number> {
  handleMany(inputs: readonly number[]): number[] {
    return inputs.filter((input) => input > 0);
  }
}

describe.each(injections)('jobs in chunks with %s injection', (injection) => {
  let jobs: JobService<EntityManager>;

  const { app, database } = useTestApp({
    session: { injection },
    providers: [WriteWorker, WriteManyWorker, TellingWorker, ForgetfulWorker],
  });

  beforeAll(async () => {
    jobs = app.get(JobService);
    await database.query(`
      alter table note add constraint accepted check (text not like 'is refused%'), add constraint once unique (text);
      create function refuse() returns trigger language plpgsql as $$ begin raise 'refused at commit'; end $$;
      create constraint trigger at_commit after insert on note deferrable initially deferred
        for each row when (new.text like 'fails at commit%') execute function refuse()`);
  });

  afterEach(() => database.query('delete from note'));

  const texts = (): Promise<string[]> => findTexts(database, 'text');

  /** What is left of outcomes that another run can be compared with. */
  const told = (outcomes: readonly JobOutcome<Input, string>[]): unknown[] =>
    outcomes.map((outcome) =>
      outcome.status === 'fulfilled'
        ? outcome
        : { ...outcome, reason: (outcome.reason as Error).message.replace(/row contains \(\d+/, 'row contains (id') },
    );

  const run = async (inputs: readonly Input[], worker: 'function' | 'class' | 'many', options: JobOptions) => {
    const outcomes = await {
      function: () => jobs.settle(inputs, write, { label: 'write', ...options }),
      class: () => jobs.settle(inputs, WriteWorker, { label: 'write', ...options }),
      many: () => jobs.settle(inputs, WriteManyWorker, { label: 'write', ...options }),
    }[worker]();
    const rows = await texts();
    await database.query('delete from note');
    return { outcomes: told(outcomes), rows };
  };

  it('end as without chunks, whichever inputs fail and however', async () => {
    const input = fc.record({
      key: fc.nat(30),
      fate: fc.oneof(fc.constant('fine' as const), fc.constantFrom(...fates)),
    });

    await fc.assert(
      fc.asyncProperty(
        fc.array(input, { maxLength: 16 }),
        fc.integer({ min: 2, max: 9 }),
        fc.constantFrom('function' as const, 'class' as const, 'many' as const),
        fc.record({ stopOnError: fc.boolean(), timeout: fc.constantFrom(Infinity, 60_000) }),
        async (inputs, chunkSize, worker, options) => {
          const alone = await run(inputs, 'function', { ...options, concurrency: 1 });
          const chunked = await run(inputs, worker, { ...options, concurrency: 1, chunkSize });

          expect(chunked).toEqual(alone);
        },
      ),
      { numRuns: 60 },
    );
  }, 120_000);

  it('end as without chunks when they run side by side', async () => {
    const inputs = Array.from({ length: 60 }, (_, key) => ({ key, fate: fates[(key * 7) % 11] ?? 'fine' }));

    const alone = await run(inputs, 'function', { concurrency: 5 });
    const chunked = await run(inputs, 'class', { concurrency: 5, chunkSize: 8 });

    expect(chunked).toEqual(alone);
    expect(chunked.rows.length).toBeGreaterThan(20);
  });

  it('share a session and a transaction', async () => {
    const ids = await jobs.map(
      Array(5).keys(),
      async (session, n) => {
        session.create(Note, { text: `${n}` });
        const [{ xid }] = await session.execute<[{ xid: string }]>('select pg_current_xact_id()::text as xid');
        return `${session.id}/${xid}`;
      },
      { chunkSize: 3 },
    );

    expect(ids.map((id) => ids.indexOf(id))).toEqual([0, 0, 0, 3, 3]);
    expect(await texts()).toHaveLength(5);
  });

  it('call the worker for an input that failed again only alone', async () => {
    const calls: number[] = [];
    const work = (_session: unknown, n: number): number => {
      calls.push(n);
      if (n === 3) {
        throw new Error('three');
      }
      return n;
    };

    await jobs.settle([0, 1, 2, 3, 4, 5], work, { chunkSize: 6 });

    expect(calls).toEqual([0, 1, 2, 3, 0, 1, 2, 3, 4, 5]);
  });

  it('are halved where nobody knows which input is to blame', async () => {
    const calls: number[] = [];
    const work = (session: EntityManager, n: number): void => {
      calls.push(n);
      session.create(Note, { text: n === 0 ? 'fails at commit' : `${n}` });
    };

    await jobs.settle([0, 1, 2, 3, 4, 5], work, { chunkSize: 6 });

    expect(calls).toEqual([0, 1, 2, 3, 4, 5, 0, 1, 2, 0, 1, 0, 1, 2, 3, 4, 5]);
  });

  it('name all of their inputs in the label of their scope', async () => {
    const context = app.get<SessionContext>(SessionContext);

    const labels = await jobs.map([1, 2, 3], () => context.scope.label, { chunkSize: 2, label: 'look' });

    expect(labels).toEqual(['jobs 0 to 1 of look', 'jobs 0 to 1 of look', 'job 2 of look']);
  });

  it('are tried again as a whole', async () => {
    const work = (session: EntityManager, n: number, { attempt }: JobContext): number => {
      session.create(Note, { text: `${n}` });
      if (attempt === 1 && n === 1) {
        throw Object.assign(new Error('conflict'), { code: '40001' });
      }
      return attempt;
    };

    const outcomes = await jobs.settle([0, 1, 2], work, { chunkSize: 3, retry: { delay: 1 } });

    expect(outcomes).toMatchObject([
      { value: 2, attempts: 2 },
      { value: 2, attempts: 2 },
      { value: 2, attempts: 2 },
    ]);
    expect(await texts()).toEqual(['0', '1', '2']);
  });

  it('give each input its time, and find the one that takes longer', async () => {
    const work = async (session: EntityManager, n: number): Promise<void> => {
      session.create(Note, { text: `${n}` });
      await (n === 2 ? new Promise(() => undefined) : session.execute('select pg_sleep(0.06)'));
    };

    const outcomes = await jobs.settle([0, 1, 2, 3], work, { chunkSize: 4, timeout: 150 });

    expect(outcomes).toMatchObject([
      { status: 'fulfilled' },
      { status: 'fulfilled' },
      {
        status: 'rejected',
        ending: 'timeout',
        reason: { message: expect.stringMatching(/^Job 2 of work was cancelled /) },
      },
      { status: 'fulfilled' },
    ]);
    expect(await texts()).toEqual(['0', '1', '3']);
  });

  it('are rolled back whole when the signal aborts', async () => {
    const cancel = new AbortController();
    const work = async (session: EntityManager, n: number): Promise<void> => {
      session.create(Note, { text: `${n}` });
      await session.flush();
      if (n === 1) {
        cancel.abort();
      }
    };

    const outcomes = await jobs.settle([0, 1, 2, 3], work, { chunkSize: 3, concurrency: 1, signal: cancel.signal });

    expect(outcomes.map(({ attempts }) => attempts)).toEqual([1, 1, 1, 0]);
    expect(outcomes.every((outcome) => outcome.status === 'rejected' && outcome.ending === 'aborted')).toBe(true);
    expect(await texts()).toEqual([]);
  });

  it('keep to the window of a stream, and end with a chunk that is not full', async () => {
    let read = 0;
    let taken = 0;
    let ahead = 0;
    function* numbers(): Generator<number> {
      while (read < 95) {
        yield read++;
      }
    }

    for await (const { index } of jobs.stream(numbers(), (_session, n) => n, { chunkSize: 10, window: 20 })) {
      expect(index).toBe(taken++);
      ahead = Math.max(ahead, read - taken);
    }

    expect(taken).toBe(95);
    expect(ahead).toBeGreaterThan(5);
    expect(ahead).toBeLessThanOrEqual(20);
  });

  it('call `handleMany` of a class that has it, and `handle` where there are no chunks', async () => {
    expect(await jobs.map([7, 8, 9], TellingWorker, { chunkSize: 2 })).toEqual([
      'handleMany(7,8) at 0',
      'handleMany(7,8) at 0',
      'handleMany(9) at 2',
    ]);
    expect(await jobs.map([7, 8], TellingWorker)).toEqual(['handle(7) at 0', 'handle(8) at 1']);
    expect(await jobs.map([{ key: 1, fate: 'fine' }], WriteManyWorker)).toEqual(['1']);
  });

  it('check that `handleMany` gives a result for each input', async () => {
    const outcomes = await jobs.settle([1, -2, 3], ForgetfulWorker, { chunkSize: 3 });

    expect(outcomes).toMatchObject([
      { status: 'fulfilled', value: 1 },
      {
        status: 'rejected',
        reason: new TypeError(
          'Expected `handleMany()` of the worker "ForgetfulWorker" to return 1 results in the order of its inputs, got 0.',
        ),
      },
      { status: 'fulfilled', value: 3 },
    ]);
  });
});
