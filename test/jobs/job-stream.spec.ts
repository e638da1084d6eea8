import { setImmediate as nextTurn } from 'node:timers/promises';

import type { EntityManager } from '@mikro-orm/postgresql';
import { type JobOutcome, JobService, type JobStreamOptions } from 'nestjs-mikro-session';

import { findTexts } from '../support/find-texts.js';
import { Note } from '../support/note.entity.js';
import { startTestApp } from '../support/test-app.js';
import { useTestApp } from '../support/use-test-app.js';

/** A source that tells how far it was read, and whether it was closed. */
class Numbers {
  read = 0;
  isClosed = false;

  constructor(private readonly count: number) {}

  *sync(): Generator<number> {
    try {
      while (this.read < this.count) {
        yield this.read++;
      }
    } finally {
      this.isClosed = true;
    }
  }

  async *async(): AsyncGenerator<number> {
    for (const number of this.sync()) {
      await nextTurn();
      yield number;
    }
  }
}

const none: JobStreamOptions = { transaction: 'none' };

describe('JobService.stream', () => {
  let jobs: JobService<EntityManager>;

  const { app, database } = useTestApp();

  beforeAll(() => {
    jobs = app.get(JobService);
  });

  afterEach(() => database.query('delete from note'));

  const texts = (): Promise<string[]> => findTexts(database, 'text');

  const indexes = (outcomes: readonly JobOutcome<unknown, unknown>[]): number[] => outcomes.map(({ index }) => index);

  it('gives an outcome for each input, each job committed in a session of its own', async () => {
    const outcomes = await Array.fromAsync(
      jobs.stream(['a', 'b', 'c'], (session, text) => {
        session.create(Note, { text });
        if (text === 'b') {
          throw new Error('no b');
        }
        return session.id;
      }),
    );

    expect(outcomes).toMatchObject([
      { status: 'fulfilled', index: 0, input: 'a', attempts: 1 },
      { status: 'rejected', index: 1, input: 'b', reason: { message: 'no b' }, attempts: 1 },
      { status: 'fulfilled', index: 2, input: 'c', attempts: 1 },
    ]);
    expect(await texts()).toEqual(['a', 'c']);
  });

  it('gives them in the order of the inputs, or as the jobs end', async () => {
    const run = async (order: 'input' | 'completion'): Promise<number[]> => {
      const second = Promise.withResolvers<void>();
      const work = async (_session: unknown, n: number): Promise<void> => (n === 0 ? second.promise : second.resolve());
      return indexes(await Array.fromAsync(jobs.stream([0, 1], work, { ...none, order })));
    };

    expect(await run('input')).toEqual([0, 1]);
    expect(await run('completion')).toEqual([1, 0]);
  });

  it('takes asynchronous inputs, as map and settle do', async () => {
    const streamed = await Array.fromAsync(jobs.stream(new Numbers(5).async(), (_session, n) => n * n));
    const mapped = await jobs.map(new Numbers(5).async(), (_session, n) => n * n);
    const settled = await jobs.settle(new Numbers(5).async(), (_session, n) => n * n);

    expect(indexes(streamed)).toEqual([0, 1, 2, 3, 4]);
    expect(mapped).toEqual([0, 1, 4, 9, 16]);
    expect(settled).toEqual(streamed);
  });

  it('begins nothing before the first outcome is asked for', async () => {
    const numbers = new Numbers(3);

    const stream = jobs.stream(numbers.sync(), (_session, n) => n);
    await nextTurn();

    expect(numbers.read).toBe(0);
    await stream.return();
  });

  it.each(['sync', 'async'] as const)('reads no more than its window ahead of a slow taker (%s)', async (kind) => {
    const numbers = new Numbers(2_000);
    let taken = 0;
    let ahead = 0;

    for await (const { index } of jobs.stream(numbers[kind](), (_session, n) => n, { ...none, window: 10 })) {
      expect(index).toBe(taken);
      taken += 1;
      if (taken % 100 === 0) {
        await nextTurn();
        await nextTurn();
      }
      ahead = Math.max(ahead, numbers.read - taken);
    }

    expect(taken).toBe(2_000);
    expect(ahead).toBeGreaterThan(0);
    expect(ahead).toBeLessThanOrEqual(10);
  });

  it('lets one slow job hold up no more than the window, which is twice the jobs at once by default', async () => {
    const numbers = new Numbers(1_000);
    const slow = Promise.withResolvers<void>();
    let ended = 0;
    const full = Promise.withResolvers<void>();
    const work = async (_session: unknown, n: number): Promise<void> => {
      await (n === 0 ? slow.promise : nextTurn());
      ended += 1;
      if (ended === 5) {
        full.resolve();
      }
    };

    const stream = jobs.stream(numbers.sync(), work, { ...none, concurrency: 3 });
    const first = stream.next();
    await full.promise;
    await nextTurn();

    expect([ended, numbers.read]).toEqual([5, 6]);
    slow.resolve();
    expect(await first).toMatchObject({ value: { index: 0 } });
    expect((await Array.fromAsync(stream)).length).toBe(999);
  });

  it.each(['sync', 'async'] as const)(
    'starts no job when it is left, waits for the running ones and closes the inputs (%s)',
    async (kind) => {
      const numbers = new Numbers(1_000);
      const gate = Promise.withResolvers<void>();
      let started = 0;
      const work = async (session: EntityManager, n: number): Promise<void> => {
        started += 1;
        if (n > 0) {
          await gate.promise;
        }
        session.create(Note, { text: `${n}` });
      };

      for await (const outcome of jobs.stream(numbers[kind](), work, { concurrency: 3 })) {
        expect(outcome.index).toBe(0);
        setImmediate(() => gate.resolve());
        break;
      }

      expect(numbers.isClosed).toBe(true);
      expect(started).toBeLessThanOrEqual(4);
      expect(await texts()).toEqual(Array.from({ length: started }, (_, n) => `${n}`));
    },
  );

  it('gives the outcomes of all jobs that began, and then the error of the inputs', async () => {
    const gate = Promise.withResolvers<void>();
    async function* broken(): AsyncGenerator<number> {
      yield* [1, 2];
      gate.resolve();
      throw new Error('no more');
    }
    const seen: number[] = [];
    const read = async (): Promise<void> => {
      const work = async (session: EntityManager, n: number): Promise<void> => {
        await gate.promise;
        session.create(Note, { text: `${n}` });
      };
      for await (const { input } of jobs.stream(broken(), work)) {
        seen.push(input);
      }
    };

    await expect(read()).rejects.toThrow('no more');

    expect(seen).toEqual([1, 2]);
    expect(await texts()).toEqual(['1', '2']);
  });

  it('throws the error of inputs that cannot be closed', async () => {
    const inputs = {
      [Symbol.iterator]: () => ({
        next: () => ({ done: false, value: 1 }),
        return: () => {
          throw new Error('jammed');
        },
      }),
    } as Iterable<number>;

    const stream = jobs.stream(inputs, (_session, n) => n);
    await stream.next();

    await expect(stream.return()).rejects.toThrow('jammed');
  });

  it('throws what the progress callback threw, after the running jobs', async () => {
    const numbers = new Numbers(100);
    const onProgress = (): never => {
      throw new Error('no view');
    };

    const all = Array.fromAsync(
      jobs.stream(numbers.sync(), (session, n) => void session.create(Note, { text: `${n}` }), { onProgress }),
    );

    await expect(all).rejects.toThrow('no view');
    expect(numbers.isClosed).toBe(true);
    expect((await texts()).length).toBe(numbers.read);
  });

  it('ends with the reason of a signal that aborts, also while it waits for an input', async () => {
    const cancel = new AbortController();
    let isClosed = false;
    const inputs: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => {
        let count = 0;
        return {
          next: () => (count < 2 ? Promise.resolve({ value: count++ }) : new Promise(() => undefined)),
          return: () => {
            isClosed = true;
            return Promise.resolve({ done: true, value: undefined });
          },
        };
      },
    };
    const seen: number[] = [];
    const read = async (): Promise<void> => {
      for await (const { index } of jobs.stream(inputs, (_session, n) => n, { ...none, signal: cancel.signal })) {
        seen.push(index);
        if (index === 1) {
          setImmediate(() => cancel.abort(new Error('enough')));
        }
      }
    };

    await expect(read()).rejects.toThrow('enough');

    expect(seen).toEqual([0, 1]);
    expect(isClosed).toBe(true);
  });

  it('leaves asynchronous inputs when map or settle are aborted, which throw the reason then', async () => {
    const cancel = new AbortController();
    const never: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => ({
        next: () => {
          setImmediate(() => cancel.abort(new Error('enough')));
          return new Promise(() => undefined);
        },
      }),
    };

    await expect(jobs.map(never, (_session, n) => n, { signal: cancel.signal })).rejects.toThrow('enough');
  });

  it('reads nothing when the signal has aborted before', async () => {
    const numbers = new Numbers(3);
    const stream = jobs.stream(numbers.sync(), (_session, n) => n, { signal: AbortSignal.abort(new Error('late')) });

    await expect(stream.next()).rejects.toThrow('late');

    expect(numbers.read).toBe(0);
  });

  it('isolates its jobs from an open transaction around it', async () => {
    await app.orm.em.fork().transactional(async (outer) => {
      outer.create(Note, { text: 'outer' });
      await outer.flush();

      const [outcome] = await Array.fromAsync(jobs.stream([1], (session) => session.count(Note)));

      expect(outcome).toMatchObject({ value: 0 });
    });
  });

  it('does not keep the application from shutting down when nobody reads on', async () => {
    const own = await startTestApp({ databaseUrl: database.url });
    const stream = own.get<JobService>(JobService).stream(new Numbers(1_000).sync(), (_session, n) => n, none);
    await stream.next();

    await own.close();

    await expect(Array.fromAsync(stream)).rejects.toThrow('The application is shutting down');
  });
});
