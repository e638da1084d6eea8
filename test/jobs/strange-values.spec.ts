import type { EntityManager } from '@mikro-orm/postgresql';
import { JobError, type JobOptions, type JobOutcome, JobService } from 'nestjs-mikro-session';

import { findTexts } from '../support/find-texts.js';
import { Note } from '../support/note.entity.js';
import { useTestApp } from '../support/use-test-app.js';
import { withoutStacks } from '../support/without-stacks.js';

const DEEP = 50_000;

function refuse(): never {
  throw new Error('nobody may look');
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable(new Error('gone'), {});
  revoke();
  return proxy;
}

function circular(): Error {
  const error: Error & { errors?: unknown } = new Error('round');
  error.cause = new Error('and round', { cause: error });
  error.errors = [error, error.cause];
  return error;
}

function deep(make: (cause: unknown) => unknown): unknown {
  return withoutStacks(() => {
    let error: unknown = new Error('the first');
    for (let depth = 0; depth < DEEP; depth += 1) {
      error = make(error);
    }
    return error;
  });
}

/** An error whose cause is a new one, each time it is asked for. */
function endless(): Error {
  return Object.defineProperty(new Error('endless'), 'cause', { get: endless });
}

function withGetters(error: Error): Error {
  for (const name of ['message', 'stack', 'cause', 'code', 'name', 'errors']) {
    Object.defineProperty(error, name, { get: refuse, enumerable: true });
  }
  return error;
}

const strangers: readonly (readonly [what: string, make: (session: EntityManager) => unknown])[] = [
  ['null', () => null],
  ['undefined', () => undefined],
  ['a symbol', () => Symbol('thrown')],
  ['a promise that is rejected', () => Promise.reject(new Error('nobody catches this'))],
  ['an object whose toString throws', () => ({ toString: refuse, toJSON: refuse, [Symbol.toPrimitive]: refuse })],
  ['an object without a prototype', () => Object.create(null)],
  ['an error whose getters throw', () => withGetters(new Error('hidden'))],
  ['a revoked Proxy', revoked],
  [
    'a Proxy whose traps throw',
    () => new Proxy(new Error('trap'), { get: refuse, getPrototypeOf: refuse, has: refuse }),
  ],
  ['an error in a circle of causes and parts', circular],
  ['an error with a very long chain of causes', () => deep((cause) => new Error('next', { cause }))],
  ['an error of errors, very deep', () => deep((error) => new AggregateError([error]))],
  ['an error whose causes never end', endless],
  ['a frozen error', () => Object.freeze(new Error('frozen'))],
  [
    'an error whose inspection throws',
    () => Object.assign(new Error('x'), { [Symbol.for('nodejs.util.inspect.custom')]: refuse }),
  ],
  ['an error that holds its session', (session) => Object.assign(new Error('held'), { session })],
  ['a DOMException', () => new DOMException('aborted', 'AbortError')],
];

describe('a job that throws', () => {
  let jobs: JobService<EntityManager>;

  const { app, database } = useTestApp();

  beforeAll(() => {
    jobs = app.get(JobService);
  });

  afterEach(() => database.query('delete from note'));

  const texts = (): Promise<string[]> => findTexts(database, 'text');

  const manners: readonly JobOptions[] = [
    {},
    { retry: { delay: 0 } },
    { timeout: 60_000 },
    { chunkSize: 3, retry: { delay: 0 } },
    { transaction: 'none', retry: { delay: 0 } },
  ];

  it.each(strangers)('%s is rejected with it, and no other job is touched', async (_what, make) => {
    for (const options of manners) {
      let thrown: unknown;
      const work = async (session: EntityManager, text: string): Promise<string> => {
        session.create(Note, { text });
        if (text === 'strange') {
          thrown = make(session);
          throw thrown;
        }
        await session.flush();
        return text;
      };

      const outcomes = await jobs.settle(['a', 'strange', 'c'], work, { ...options, concurrency: 1 });

      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      const strange = outcomes[1] as JobOutcome<string, string> & { readonly reason: unknown };
      expect(strange.reason === thrown).toBe(true);
      expect(strange.attempts).toBe(1);
      expect(await texts()).toEqual(['a', 'c']);
      await database.query('delete from note');
    }
  });

  it.each(strangers)('%s in map has a JobError with it as the cause', async (_what, make) => {
    let thrown: unknown;
    const failure: unknown = await jobs
      .map([1], (session) => {
        thrown = make(session);
        throw thrown;
      })
      .catch((error: unknown) => error);

    const [error] = (failure as AggregateError).errors as [JobError];
    expect(error).toBeInstanceOf(JobError);
    expect(error.message).toMatch(/^Job 0 of worker failed on a number: /);
    expect(error.message.length).toBeLessThan(2_000);
    expect(error.cause === thrown).toBe(true);
  });

  it('is named by its place and the type of its input, which may be secret', async () => {
    class Account {
      constructor(readonly password: string) {}
    }
    const inputs = [new Account('swordfish'), 'swordfish', ['swordfish'], undefined, revoked()];

    const failure: unknown = await jobs
      .map(inputs, () => refuse(), { label: 'sign up' })
      .catch((error: unknown) => error);

    const { errors } = failure as AggregateError & { readonly errors: readonly JobError[] };
    expect(errors.map(({ message }) => message)).toEqual([
      'Job 0 of sign up failed on an object of the class `Account`: nobody may look',
      'Job 1 of sign up failed on a string: nobody may look',
      'Job 2 of sign up failed on an array: nobody may look',
      'Job 3 of sign up failed on undefined: nobody may look',
      'Job 4 of sign up failed on an object of the class `unknown`: nobody may look',
    ]);
    expect(errors.every(({ input }, index) => input === inputs[index])).toBe(true);
    expect(JSON.stringify(errors)).not.toContain('swordfish');
  });

  it.each([
    ['throws', () => refuse()],
    ['returns a promise', () => Promise.reject(new Error('async')) as unknown as boolean],
  ])('has both errors when its `retry.when` %s', async (_what, when) => {
    const work = async (session: EntityManager, n: number): Promise<void> => {
      session.create(Note, { text: `${n}` });
      if (n === 1) {
        throw new RangeError('of the job');
      }
    };

    const alone = await jobs.settle([0, 1, 2], work, { retry: { when } });
    const chunked = await jobs.settle([3, 1, 5], work, { retry: { when }, chunkSize: 3 });

    for (const outcomes of [alone, chunked]) {
      expect(outcomes).toMatchObject([
        { status: 'fulfilled' },
        { status: 'rejected', ending: 'failed', reason: { errors: [expect.any(RangeError), expect.any(Error)] } },
        { status: 'fulfilled' },
      ]);
    }
    expect(await texts()).toEqual(['0', '2', '3', '5']);
  });

  it('has a result that nobody can look at, and is fulfilled', async () => {
    const results = [
      revoked(),
      Object.create(null) as object,
      { toJSON: refuse, [Symbol.for('nodejs.util.inspect.custom')]: refuse },
    ];

    const outcomes = await jobs.settle([0, 1, 2], (_session, n) => [results[n]], { timeout: 60_000 });

    expect(
      outcomes.map((outcome) => outcome.status === 'fulfilled' && outcome.value[0] === results[outcome.index]),
    ).toEqual([true, true, true]);
  });

  it('is reported to a progress callback that may fail later than it returns', async () => {
    const onProgress: () => unknown = () => Promise.reject(new Error('no view'));

    const running = jobs.settle([1, 2], async (session) => session.count(Note), {
      onProgress,
      progressInterval: 0,
      concurrency: 1,
    });

    await expect(running).rejects.toThrow('no view');
  });
});
