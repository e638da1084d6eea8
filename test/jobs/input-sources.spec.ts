import { PassThrough } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';

import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService } from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { startTestApp } from '../support/test-app.js';
import { useTestApp } from '../support/use-test-app.js';

interface Source {
  readonly inputs: AsyncIterable<number>;
  /** Lets it go on. */
  readonly wake: () => void;
  readonly closed: Promise<unknown>;
}

/** Gives two numbers, and then waits until it is woken. */
const sources: Readonly<Record<string, () => Source>> = {
  'an async generator': () => {
    const wake = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    async function* numbers(): AsyncGenerator<number> {
      try {
        yield* [0, 1];
        await wake.promise;
        yield 2;
      } finally {
        closed.resolve();
      }
    }
    return { inputs: numbers(), wake: wake.resolve, closed: closed.promise };
  },
  'an async generator that fails when it wakes': () => {
    const wake = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    async function* numbers(): AsyncGenerator<number> {
      try {
        yield* [0, 1];
        await wake.promise;
        throw new Error('too late to be of interest');
      } finally {
        closed.resolve();
      }
    }
    return { inputs: numbers(), wake: wake.resolve, closed: closed.promise };
  },
  'an iterator whose return never settles': () => {
    let count = 0;
    const closed = Promise.withResolvers<void>();
    const inputs = {
      [Symbol.asyncIterator]: () => ({
        next: () =>
          count < 2 ? Promise.resolve({ done: false as const, value: count++ }) : new Promise<never>(() => undefined),
        return: () => {
          closed.resolve();
          return new Promise<never>(() => undefined);
        },
      }),
    };
    return { inputs, wake: () => undefined, closed: closed.promise };
  },
  'a web stream': () => {
    const closed = Promise.withResolvers<void>();
    let controller: ReadableStreamDefaultController<number> | undefined;
    const inputs = new ReadableStream<number>({
      start(own) {
        controller = own;
        own.enqueue(0);
        own.enqueue(1);
      },
      cancel: () => {
        controller = undefined;
        closed.resolve();
      },
    });
    return { inputs, wake: () => controller?.enqueue(2), closed: closed.promise };
  },
  'a stream of Node.js': () => {
    const inputs = new PassThrough({ objectMode: true });
    inputs.write(0);
    inputs.write(1);
    return { inputs, wake: () => undefined, closed: new Promise((resolve) => inputs.once('close', resolve)) };
  },
};

/** Counts without end, and whether it was closed. */
function countFrom(): {
  readonly inputs: Iterable<number>;
  readonly count: () => number;
  readonly isClosed: () => boolean;
} {
  let next = 0;
  let isClosed = false;
  function* numbers(): Generator<number> {
    try {
      for (;;) {
        yield next++;
      }
    } finally {
      isClosed = true;
    }
  }
  return { inputs: numbers(), count: () => next, isClosed: () => isClosed };
}

describe('inputs that do not come', () => {
  let jobs: JobService<EntityManager>;

  const { app, database } = useTestApp();

  beforeAll(async () => {
    jobs = app.get(JobService);
    // Opens the connections.
    await jobs.map([0, 1, 2, 3], work);
  });

  const work = async (session: EntityManager, n: number): Promise<number> => {
    await session.execute('select 1');
    return n;
  };

  describe.each(Object.entries(sources))('from %s', (_what, open) => {
    it.each([1, 10])(
      'are left when the signal aborts, with its reason, and closed when they can be (chunks of %d)',
      async (chunkSize) => {
        for (const method of ['map', 'settle'] as const) {
          const { inputs, wake, closed } = open();
          const cancel = new AbortController();
          const second = Promise.withResolvers<void>();
          const last = async (session: EntityManager, n: number): Promise<void> => {
            await work(session, n);
            if (n === 1) {
              second.resolve();
            }
          };
          const running = jobs[method](inputs, last, { signal: cancel.signal, chunkSize, concurrency: 2 });
          // A chunk that is not full does not begin.
          await (chunkSize === 1 ? second.promise : nextTurn());
          await nextTurn();

          cancel.abort(new Error('enough'));

          await expect(running).rejects.toThrow('enough');
          wake();
          await closed;
        }
      },
    );

    it('are left when a stream is left', async () => {
      const { inputs, wake, closed } = open();
      const seen: number[] = [];

      for await (const { index } of jobs.stream(inputs, work)) {
        seen.push(index);
        if (index === 1) {
          break;
        }
      }

      expect(seen).toEqual([0, 1]);
      wake();
      await closed;
    });

    it('are left when a stream is left that waits for them', async () => {
      const { inputs, wake, closed } = open();
      const stream = jobs.stream(inputs, work);
      await stream.next();
      await stream.next();
      const third = stream.next();

      const left = stream.return();

      expect(await third).toEqual({ done: true, value: undefined });
      await left;
      wake();
      await closed;
    });

    it('are left after the first failure with stopOnError, and the outcomes are there', async () => {
      const { inputs, wake, closed } = open();
      const fail = (_session: unknown, n: number): number => {
        if (n === 1) {
          throw new Error('broken');
        }
        return n;
      };

      const outcomes = await jobs.settle(inputs, fail, { stopOnError: true });
      wake();
      await closed;

      expect(outcomes).toMatchObject([{ status: 'fulfilled' }, { status: 'rejected', reason: { message: 'broken' } }]);
    });

    it('do not keep the application from shutting down', async () => {
      const { inputs, wake, closed } = open();
      const own = await startTestApp({ databaseUrl: database.url });
      const seen = Promise.withResolvers<void>();
      const running = own
        .get<JobService>(JobService)
        .settle(inputs, (_session, n) => (n === 1 ? seen.resolve() : undefined));
      await seen.promise;

      const [outcomes] = await Promise.allSettled([running, own.close()]);

      expect(outcomes).toMatchObject({ status: 'rejected', reason: { message: 'The application is shutting down' } });
      wake();
      await closed;
    });
  });

  describe('because others come for ever, from a generator that never waits', () => {
    it.each([1, 10])('are left when the signal aborts, with its reason (chunks of %d)', async (chunkSize) => {
      for (const method of ['map', 'settle'] as const) {
        const cancel = new AbortController();
        const { inputs, count, isClosed } = countFrom();
        const abortAt = async (session: EntityManager, n: number): Promise<void> => {
          await work(session, n);
          if (n === 20) {
            cancel.abort(new Error('enough'));
          }
        };

        const running = jobs[method](inputs, abortAt, { signal: cancel.signal, chunkSize, concurrency: 2 });

        await expect(running).rejects.toThrow('enough');
        expect(isClosed()).toBe(true);
        expect(count()).toBeLessThan(60);
      }
    });

    it('are not read when the signal has aborted before', async () => {
      const { inputs, count } = countFrom();

      const running = jobs.settle(inputs, work, { signal: AbortSignal.abort(new Error('before')) });

      await expect(running).rejects.toThrow('before');
      expect(count()).toBe(0);
    });

    it('are left after the first failure with stopOnError, and the outcomes are there', async () => {
      const { inputs, isClosed } = countFrom();
      const fail = (_session: unknown, n: number): void => {
        if (n === 2) {
          throw new Error('broken');
        }
      };

      const outcomes = await jobs.settle(inputs, fail, { stopOnError: true, concurrency: 1 });

      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
      expect(isClosed()).toBe(true);
    });

    it('do not keep the application from shutting down', async () => {
      const { inputs, isClosed } = countFrom();
      const own = await startTestApp({ databaseUrl: database.url });
      const seen = Promise.withResolvers<void>();
      const running = own
        .get<JobService>(JobService)
        .settle(inputs, (_session, n) => (n === 9 ? seen.resolve() : undefined));
      await seen.promise;

      const [outcomes] = await Promise.allSettled([running, own.close()]);

      expect(outcomes).toMatchObject({ status: 'rejected', reason: { message: 'The application is shutting down' } });
      expect(isClosed()).toBe(true);
    });
  });

  it.each<[string, Iterable<unknown>]>([
    ['an array', [1, 2, 3]],
    ['a typed array', Uint8Array.of(1, 2, 3)],
    ['a set', new Set([1, 2, 3])],
    [
      'a map',
      new Map([
        [1, 1],
        [2, 2],
        [3, 3],
      ]),
    ],
  ])('have an outcome each when they are in %s, whose number is known', async (_what, inputs) => {
    const cancel = new AbortController();

    const outcomes = await jobs.settle(inputs, () => cancel.abort(), {
      signal: cancel.signal,
      whenAborted: 'finish',
      concurrency: 1,
    });

    expect(outcomes).toMatchObject([
      { status: 'fulfilled', attempts: 1 },
      { ending: 'aborted', attempts: 0 },
      { ending: 'aborted', attempts: 0 },
    ]);
  });

  it('may be the characters of a text', async () => {
    expect(await jobs.map('ab\u{1f600}', (_session, character) => character)).toEqual(['a', 'b', '\u{1f600}']);
  });

  it('are left alone, with a warning, when they do not close', async () => {
    using log = new CapturedLog();
    async function* numbers(): AsyncGenerator<number> {
      try {
        yield* [0, 1, 2];
      } finally {
        await new Promise(() => undefined);
      }
    }

    const stream = jobs.stream(numbers(), work, { window: 1, concurrency: 1 });
    await stream.next();
    await stream.return();

    expect(log.warnings).toEqual([expect.stringContaining('The inputs of jobs did not close within 2000 ms')]);
  });

  it('say why they were left, whatever their return throws', async () => {
    const cancel = new AbortController();
    const inputs = {
      *[Symbol.iterator](): Generator<number> {
        try {
          for (let n = 0; ; n += 1) {
            yield n;
          }
        } finally {
          // oxlint-disable-next-line no-unsafe-finally -- that is the point
          throw new Error('jammed');
        }
      },
    };
    const read = async (): Promise<void> => {
      for await (const { index } of jobs.stream(inputs, work, { signal: cancel.signal })) {
        if (index === 1) {
          cancel.abort(new Error('enough'));
        }
      }
    };

    await expect(read()).rejects.toThrow('enough');
  });
});
