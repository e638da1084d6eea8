import type { EntityManager } from '@mikro-orm/postgresql';
import {
  type HttpRequest,
  InSession,
  type JobOutcome,
  type JobService,
  type OwnedSession,
  type SessionContext,
  type SessionFactory,
  type SessionModuleOptions,
} from 'nestjs-mikro-session';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Fails to compile unless both types are the same. */
function expectType<Expected, Actual>(_isEqual: Equal<Expected, Actual>): void {}

class Lengths {
  handle(input: string): Promise<number> {
    return Promise.resolve(input.length);
  }
}

class Methods {
  @InSession()
  async promise(input: string): Promise<number> {
    return input.length;
  }

  @InSession({ transaction: true })
  generic<Result>(work: (input: number) => Promise<Result>): Promise<Result> {
    return work(1);
  }

  // @ts-expect-error the session would end before the work of the caller
  @InSession()
  value(): number {
    return 1;
  }

  // @ts-expect-error the session would end before the first value is read
  @InSession()
  async *stream(): AsyncGenerator<number> {
    yield 1;
  }
}

class ManyLengths {
  handleMany(inputs: readonly string[]): number[] {
    return inputs.map(({ length }) => length);
  }
}

async function* words(): AsyncGenerator<string> {
  yield 'a';
}

interface PlatformRequest extends HttpRequest {
  readonly user: string;
}

void ({ http: { transaction: true } } satisfies SessionModuleOptions);
void ({ http: { transaction: { isolationLevel: 'serializable' } } } satisfies SessionModuleOptions);
void ({
  http: {
    transaction: ({ user }: PlatformRequest) => (user === '' ? undefined : { readOnly: true }),
    commitError: (error, { method }) => (method === 'GET' ? error : new Error('no commit')),
  },
} satisfies SessionModuleOptions);
// @ts-expect-error there is no such option
void ({ http: { transaction: { propagation: 'nested' } } } satisfies SessionModuleOptions);
// @ts-expect-error it would tell too late
void ({ http: { transaction: async () => ({}) } } satisfies SessionModuleOptions);

// Never called: the compiler is the test.
async function types(
  jobs: JobService<EntityManager>,
  factory: SessionFactory<EntityManager>,
  context: SessionContext<EntityManager>,
): Promise<void> {
  const mapped = await jobs.map([1, 2], (session, n) => session.getKysely() !== undefined && n > 1);
  expectType<boolean[], typeof mapped>(true);

  const lengths = await jobs.map(['a'], Lengths);
  expectType<number[], typeof lengths>(true);

  const outcomes = await jobs.settle(['a'], Lengths);
  expectType<JobOutcome<string, number>[], typeof outcomes>(true);

  const many = await jobs.map(words(), ManyLengths, { chunkSize: 2 });
  expectType<number[], typeof many>(true);

  const streamed = jobs.stream(words(), Lengths);
  expectType<AsyncGenerator<JobOutcome<string, number>, void, undefined>, typeof streamed>(true);

  const created = factory.create();
  expectType<OwnedSession<EntityManager>, typeof created>(true);

  const begun = await factory.begin(async (session) => session.getKysely().isTransaction);
  expectType<boolean, typeof begun>(true);

  const { current, tryCurrent } = context;
  expectType<EntityManager, typeof current>(true);
  expectType<EntityManager | undefined, typeof tryCurrent>(true);

  // @ts-expect-error a property is no method
  InSession()(Methods.prototype, 'promise');

  // @ts-expect-error the worker takes strings
  await jobs.map([1], Lengths);
  // @ts-expect-error the worker takes strings
  await jobs.map([1], ManyLengths);
  // @ts-expect-error a session is not to be tied to the transaction of another
  factory.create({ fork: { keepTransactionContext: true } });
  // @ts-expect-error a transaction is not to be tied to another
  await factory.begin(() => 0, { transaction: { propagation: 'nested' } });
}

describe('the types', () => {
  it('are checked by the compiler', () => {
    expect([types, Methods]).toEqual([expect.any(Function), expect.any(Function)]);
  });
});
