import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, type Type } from '@nestjs/common';
import { InjectSession, JobError, type JobWorker, SessionFactory } from 'nestjs-mikro-session';
import { JobHandler, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { CapturedLog } from '../support/captured-log.js';
import { Note } from '../support/note.entity.js';
import { useTestApp } from '../support/use-test-app.js';
import { withoutStacks } from '../support/without-stacks.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    'one-by-one': string;
    prefetched: string;
    'in-chunks': string;
    store: unknown;
  }
}

class Price {
  constructor(
    readonly amount: number,
    readonly currency?: string,
  ) {}
}

class Hidden {
  readonly #amount = 7;

  get amount(): number {
    return this.#amount;
  }
}

class Celsius {
  readonly #degrees = 21;

  toJSON(): string {
    return `${this.#degrees} °C`;
  }
}

function chain(length: number): Error {
  return withoutStacks(() => {
    let error = new Error('the first cause');
    for (let nth = 0; nth < length; nth += 1) {
      error = new Error(`cause ${nth}`, { cause: error });
    }
    return error;
  });
}

function circle(): Error {
  const error = new Error('round and round');
  error.cause = error;
  return Object.assign(error, { errors: [error] });
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

const refuse = (): never => {
  throw new Error('nobody looks at me');
};

/** What handlers throw, and a part of what is stored of it. */
const thrown: Readonly<Record<string, readonly [make: (session: EntityManager) => unknown, stored: unknown]>> = {
  'a NUL': [() => new Error('x \0'), { name: 'Error', message: String.raw`x \0` }],
  'half an emoji': [() => new Error('x \uD83D'), { message: 'x \uFFFD' }],
  'a NUL in a cause': [
    () => new Error('outer', { cause: new Error('x \0') }),
    { message: 'outer', cause: { message: String.raw`x \0` } },
  ],
  'a NUL in a part': [
    () => new AggregateError([new Error('x \0')], 'some'),
    { name: 'AggregateError', errors: [{ message: String.raw`x \0` }], errorCount: 1 },
  ],
  'a name and a code with NUL': [
    () => Object.assign(new Error('x'), { name: 'N\0', code: 'C\0' }),
    { name: String.raw`N\0`, code: String.raw`C\0` },
  ],
  'a circle': [circle, { message: 'round and round', errorCount: 1 }],
  'very many causes': [() => chain(50_000), { message: 'cause 49999', cause: { message: 'cause 49998' } }],
  'very many parts': [
    () => new AggregateError(Array.from({ length: 10_000 }, (_, nth) => new JobError(nth, nth, 'job', chain(9)))),
    { errorCount: 10_000 },
  ],
  'a message of megabytes': [
    () => new Error('long'.repeat(1_000_000)),
    { message: expect.stringMatching(/^(long){2500}… \(the first 10000 of 4000000\)$/) },
  ],
  'a BigInt': [() => 1n, { name: 'bigint', message: '1' }],
  'a symbol': [() => Symbol('s'), { name: 'symbol', message: 'Symbol(s)' }],
  'a function': [() => refuse, { name: 'function' }],
  nothing: [() => undefined, { name: 'undefined', message: 'undefined' }],
  'text with a NUL': [() => 'x \0', { name: 'string', message: String.raw`x \0` }],
  'an object without a prototype': [() => Object.create(null) as unknown, { name: 'object' }],
  'an object with a message': [() => ({ message: 'plain', code: 7 }), { name: 'object', message: 'plain', code: '7' }],
  'a revoked proxy': [revoked, { name: 'object', message: expect.any(String) }],
  'getters that throw': [
    () =>
      Object.defineProperties(new Error('x'), {
        message: { get: refuse },
        cause: { get: refuse },
        code: { get: refuse },
        errors: { get: refuse },
        name: { get: refuse },
      }),
    { message: expect.any(String) },
  ],
  'a toJSON that throws': [() => Object.assign(new Error('x'), { toJSON: refuse }), { message: 'x' }],
  'its session': [(session) => Object.assign(new Error('x'), { session, big: 1n }), { message: 'x' }],
};

const results: Readonly<Record<string, unknown>> = {
  'a date': new Date(0),
  'a date within': { at: new Date(0) },
  'an object of a class': new Price(5),
  'a toJSON': new Celsius(),
};

const refusedResults: Readonly<Record<string, unknown>> = {
  'a NUL within': { name: 'x \0' },
  'a map': { prices: new Map([['a', 1]]) },
  'no number': [NaN],
  'a big number': 1n,
  'an error': new Error('x'),
};

@Injectable()
class Thrower implements JobWorker<string, unknown> {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  handle(input: string): unknown {
    this.session.create(Note, { text: input });
    const make = thrown[input]?.[0];
    if (make !== undefined) {
      throw make(this.session);
    }
    return results[input] ?? refusedResults[input];
  }
}

@Injectable()
@JobHandler({ queue: 'one-by-one', retryLimit: 0 })
class OneByOne extends Thrower {}

@Injectable()
@JobHandler({ queue: 'prefetched', retryLimit: 0, prefetch: 100, localConcurrency: 1 })
class Prefetched extends Thrower {}

@Injectable()
@JobHandler({ queue: 'in-chunks', retryLimit: 0, chunkSize: 100, localConcurrency: 1 })
class InChunks extends Thrower {}

describe('what is stored of durable jobs', () => {
  let queue: JobQueue;

  const { app, database } = useTestApp({
    imports: [JobQueueModule.forRoot({ queues: { store: {} } })],
    providers: [OneByOne, Prefetched, InChunks] satisfies Type[],
  });

  beforeAll(() => {
    queue = app.get(JobQueue);
  });

  afterEach(async () => {
    await database.query('delete from pgboss.job');
    await database.query('delete from note');
  });

  async function run(name: 'one-by-one' | 'prefetched' | 'in-chunks', inputs: readonly string[]): Promise<unknown> {
    await queue.sendMany(name, inputs);
    await database.until(`select count(*) = $1 from pgboss.job where state > 'active'`, [inputs.length]);
    const rows = await database.query<{ input: string; state: string; output: unknown }>(
      `select data ->> 'input' as input, state, output from pgboss.job`,
    );
    return Object.fromEntries(rows.map(({ input, state, output }) => [input, { state, output }]));
  }

  describe.each(['one-by-one', 'prefetched', 'in-chunks'] as const)('%s', (name) => {
    it('is of any error a readable text, and of each neighbour its own outcome', async () => {
      using log = new CapturedLog();
      const inputs = Object.keys(thrown).flatMap((input) => [input, `beside ${input}`]);

      const ended = await run(name, inputs);

      expect(ended).toMatchObject(
        Object.fromEntries(
          Object.entries(thrown).flatMap(([input, [, stored]]) => [
            [input, { state: 'failed', output: stored }],
            [`beside ${input}`, { state: 'completed', output: null }],
          ]),
        ),
      );
      expect(log.warnings.concat(log.errors)).toEqual([]);
    });

    it('is the result as JSON, or a failure that says why not', async () => {
      using log = new CapturedLog();
      const inputs = [...Object.keys(results), ...Object.keys(refusedResults), 'nothing special'];

      const ended = await run(name, inputs);

      const refused = (path: string, why: string): unknown => ({
        state: 'failed',
        output: expect.objectContaining({
          name: 'TypeError',
          message: expect.stringMatching(
            RegExp(`^Expected \`result${path}\` of job [-0-9a-f]{36} of queue "${name}" to be .*${why}`),
          ) as unknown,
        }) as unknown,
      });
      expect(ended).toEqual({
        'a date': { state: 'completed', output: { value: '1970-01-01T00:00:00.000Z' } },
        'a date within': { state: 'completed', output: { at: '1970-01-01T00:00:00.000Z' } },
        'an object of a class': { state: 'completed', output: { amount: 5 } },
        'a toJSON': { state: 'completed', output: { value: '21 °C' } },
        'nothing special': { state: 'completed', output: null },
        'a NUL within': refused('\\.name', 'NUL'),
        'a map': refused('\\.prices', 'Map'),
        'no number': refused('\\[0\\]', 'NaN'),
        'a big number': refused('', '1n'),
        'an error': refused('', 'Error'),
      });
      expect(log.warnings.concat(log.errors)).toEqual([]);
    });
  });

  describe('an input', () => {
    const nested: { self?: unknown } = {};
    nested.self = { again: nested };

    it.each<[string, unknown, string, string]>([
      ['NaN', { n: NaN }, 'input.n', 'JSON would turn it into null'],
      ['Infinity', [1, Infinity], 'input[1]', 'JSON would turn it into null'],
      ['a BigInt', { a: [{ b: 1n }] }, 'input.a[0].b', 'JSON cannot hold this number'],
      ['a hole', { items: [1, undefined] }, 'input.items[1]', 'JSON would turn it into null'],
      ['a map', { items: [0, 1, 2, { price: new Map() }] }, 'input.items[3].price', 'JSON does not keep what it holds'],
      ['a set', new Set([1]), 'input', 'JSON does not keep what it holds'],
      ['an error', { error: new Error('x') }, 'input.error', 'JSON does not keep what it holds'],
      ['a pattern', { pattern: /x/ }, 'input.pattern', 'JSON does not keep what it holds'],
      ['a promise', { late: Promise.resolve() }, 'input.late', 'JSON does not keep what it holds'],
      ['bytes', { bytes: new Uint8Array(3) }, 'input.bytes', 'JSON does not keep what it holds'],
      ['private fields', { price: new Hidden() }, 'input.price', 'JSON does not keep what it holds'],
      ['a function', { 'to do': () => 1 }, 'input["to do"]', 'JSON cannot hold it'],
      ['a symbol', { kind: Symbol('s') }, 'input.kind', 'JSON cannot hold it'],
      ['no date', { at: new Date(NaN) }, 'input.at', 'JSON would turn it into null'],
      ['a NUL', { name: 'a\0' }, 'input.name', 'PostgreSQL takes neither the character NUL'],
      ['a NUL in a key', { 'a\0': 1 }, String.raw`input["a\u0000"]`, 'PostgreSQL takes neither the character NUL'],
      ['half an emoji', ['\uDE00'], 'input[0]', 'PostgreSQL takes neither the character NUL'],
      ['itself', nested, 'input.self.again', 'it contains itself'],
      [
        'what throws',
        {
          get now() {
            return refuse();
          },
        },
        'input.now',
        'it throws when it is read',
      ],
      ['a revoked proxy', { it: revoked() }, 'input.it', 'it throws when it is read'],
      ['what toJSON makes of it', { toJSON: () => ({ n: NaN }) }, 'input.n', 'JSON would turn it into null'],
    ])('with %s is refused, with its path', async (_what, input, path, why) => {
      const sending = queue.send('store', input);
      const sendingMany = queue.sendMany('store', [{}, {}, input]);

      await expect(sending).rejects.toThrow(TypeError);
      await expect(sending).rejects.toThrow(`Expected \`${path}\` of a job for queue "store" to be`);
      await expect(sending).rejects.toThrow(why);
      await expect(sendingMany).rejects.toThrow(`Expected \`${path}\` of job 2 for queue "store" to be`);
      await expect(queue.schedule('store', '0 6 * * *', input)).rejects.toThrow(`of the schedule of queue "store"`);
      expect(await database.query('select from pgboss.job')).toEqual([]);
    });

    it('may have dates, objects of classes, toJSON and optional fields', async () => {
      const shared = new Price(1);

      await queue.send('store', {
        at: new Date(0),
        price: new Price(5),
        warmth: new Celsius(),
        missing: undefined,
        twice: [shared, shared],
        boxed: Object(7) as unknown,
        plain: Object.assign(Object.create(null) as object, { yes: true }),
      });

      expect(await database.query(`select data -> 'input' as input from pgboss.job`)).toEqual([
        {
          input: {
            at: '1970-01-01T00:00:00.000Z',
            price: { amount: 5 },
            warmth: '21 °C',
            twice: [{ amount: 1 }, { amount: 1 }],
            boxed: 7,
            plain: { yes: true },
          },
        },
      ]);
    });

    it('may be nested deeply, but not without end', async () => {
      let deep: unknown = 'the end';
      for (let nth = 0; nth < 100_000; nth += 1) {
        deep = [deep];
      }

      await expect(queue.send('store', deep)).rejects.toThrow('it is nested deeper than 1000 levels');
    });
  });

  it('is a great many large inputs, in their order, all of them or none', async () => {
    const inputs = (refused: string): string[] =>
      Array.from({ length: 100 }, (_, nth) => (nth === 99 ? refused : `${nth} ${'x'.repeat(600_000)}`));
    const sessions = app.get<SessionFactory>(SessionFactory);

    // The last one fails in PostgreSQL, after the others have been sent in statements before.
    const failing = queue.sendMany('store', inputs('last'), (input) => (input === 'last' ? { id: 'no uuid' } : {}));
    await expect(failing).rejects.toThrow('no uuid');
    const none = await database.query('select from pgboss.job');
    const count = await queue.sendMany('store', inputs('last'));
    await sessions
      .begin(async () => {
        await queue.sendMany('store', inputs('lost'));
        throw new Error('told to fail');
      })
      .catch(() => undefined);

    expect([none, count]).toEqual([[], 100]);
    const rows = await database.query<{ start: string; created: number }>(
      `select left(data ->> 'input', 3) as start, count(*) over (partition by created_on)::int as created
         from pgboss.job order by (data ->> 'index')::int nulls first`,
    );
    expect(rows.map(({ start }) => Number.parseInt(start, 10))).toEqual([
      ...Array.from({ length: 99 }, (_, nth) => nth),
      NaN,
    ]);
    expect(rows[0]).toMatchObject({ created: 100 });
  });
});
