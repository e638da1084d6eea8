import { FlushMode } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import {
  InSession,
  JobService,
  type MethodTransactionOptions,
  SessionContext,
  SessionFactory,
  SessionStateError,
} from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { injections, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

class OnPurpose extends Error {}

type Propagation = Exclude<MethodTransactionOptions['propagation'], undefined>;

@Injectable()
class Books {
  constructor(private readonly context: SessionContext<EntityManager>) {}

  @InSession({ transaction: { propagation: 'required' } })
  async required(): Promise<boolean> {
    return this.#write();
  }

  @InSession({ transaction: { propagation: 'requires_new' } })
  async requires_new(): Promise<boolean> {
    return this.#write();
  }

  @InSession({ transaction: { propagation: 'nested' } })
  async nested(): Promise<boolean> {
    return this.#write();
  }

  @InSession({ transaction: { propagation: 'supports' } })
  async supports(): Promise<boolean> {
    return this.#write();
  }

  @InSession({ transaction: { propagation: 'not_supported' } })
  async not_supported(): Promise<boolean> {
    return this.#write();
  }

  @InSession({ transaction: { propagation: 'mandatory' } })
  async mandatory(): Promise<boolean> {
    return this.#write();
  }

  @InSession({ transaction: { propagation: 'never' } })
  async never(): Promise<boolean> {
    return this.#write();
  }

  @InSession({ transaction: { propagation: 'nested' } })
  async failNested(): Promise<void> {
    await this.#write();
    throw new OnPurpose();
  }

  @InSession({ transaction: { propagation: 'nested', isolationLevel: 'serializable' } })
  async nestedLevel(): Promise<string> {
    return this.#read('transaction_isolation');
  }

  @InSession({ transaction: { propagation: 'mandatory', isolationLevel: 'serializable' } })
  async mandatoryLevel(): Promise<string> {
    return this.#read('transaction_isolation');
  }

  @InSession({ transaction: { propagation: 'requires_new', isolationLevel: 'serializable' } })
  async levelOfItsOwn(): Promise<string> {
    return this.#read('transaction_isolation');
  }

  @InSession({ transaction: true })
  async isReadOnly(): Promise<string> {
    return this.#read('transaction_read_only');
  }

  @InSession({ transaction: { readOnly: false } })
  async add(): Promise<boolean> {
    return this.#write();
  }

  @InSession({ transaction: { flushMode: FlushMode.COMMIT } })
  async countUnflushed(): Promise<number> {
    this.context.current.create(Note, { text: 'b' });
    return this.context.current.count(Note);
  }

  /** Tells whether it was in a transaction. */
  async #write(): Promise<boolean> {
    const session = this.context.current;
    session.create(Note, { text: 'a' });
    await session.flush();
    return session.isInTransaction();
  }

  async #read(setting: string): Promise<string> {
    const [row] = await this.context.current.execute<{ value: string }[]>('select current_setting(?) as value', [
      setting,
    ]);
    return row?.value ?? '';
  }
}

describe.each(injections)('@InSession() with the propagation of a transaction, with %s injection', (injection) => {
  let database: TestDatabase;
  let app: TestApp;
  let books: Books;
  let factory: SessionFactory<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({ databaseUrl: database.url, session: { injection }, providers: [Books] });
    books = app.get(Books);
    factory = app.get(SessionFactory);
  });

  afterEach(() => database.query('delete from note'));

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  const count = async (): Promise<number> => (await database.query('select from note')).length;

  const rolledBackAfter = async <Result>(work: () => Promise<Result>): Promise<Result | undefined> => {
    let result: Result | undefined;
    const begun = factory.begin(async () => {
      result = await work();
      throw new OnPurpose();
    });
    await expect(begun).rejects.toThrow(OnPurpose);
    return result;
  };

  it.each<[Propagation, boolean, number]>([
    ['required', true, 0],
    ['requires_new', true, 1],
    ['nested', true, 0],
    ['supports', true, 0],
    ['not_supported', false, 1],
    ['mandatory', true, 0],
  ])('%s in a transaction that is rolled back', async (propagation, isIn, left) => {
    expect(await rolledBackAfter(() => books[propagation]())).toBe(isIn);
    expect(await count()).toBe(left);
  });

  it.each<[Propagation, boolean]>([
    ['required', true],
    ['requires_new', true],
    ['nested', true],
    ['supports', false],
    ['not_supported', false],
    ['never', false],
  ])('%s without a transaction, in a scope and outside of every scope', async (propagation, isIn) => {
    expect(await factory.run(() => books[propagation]())).toBe(isIn);
    expect(await books[propagation]()).toBe(isIn);
    expect(await count()).toBe(2);
  });

  it('never is refused in a transaction', async () => {
    const call = factory.begin(() => books.never(), { label: 'nightly' });

    await expect(call).rejects.toThrow(SessionStateError);
    await expect(call).rejects.toThrow('"Books.never" never runs in a transaction, but "nightly" has one open.');
  });

  it('mandatory is refused without a transaction', async () => {
    await expect(factory.run(() => books.mandatory(), { label: 'nightly' })).rejects.toThrow(
      '"Books.mandatory" runs only in a transaction, but "nightly" has none open.',
    );
    const outside = books.mandatory();
    await expect(outside).rejects.toThrow(SessionStateError);
    await expect(outside).rejects.toThrow('but was called outside of every session scope.');
  });

  it('nested undoes its own part alone', async () => {
    await factory.begin(async () => {
      await books.required();
      await expect(books.failNested()).rejects.toThrow(OnPurpose);
    });

    expect(await count()).toBe(1);
  });

  it.each(['nestedLevel', 'mandatoryLevel'] as const)(
    'refuses options that the transaction around it does not have: %s',
    async (method) => {
      const call = factory.begin(() => books[method](), { label: 'nightly' });

      await expect(call).rejects.toThrow(
        `"Books.${method}" asks for a transaction with \`isolationLevel: 'serializable'\`, but joins the one that ` +
          '"nightly" has open, which has `\'read committed\'`.',
      );
      const transaction = { isolationLevel: 'serializable' } as const;
      expect(await factory.begin(() => books[method](), { transaction })).toBe('serializable');
    },
  );

  it.each(['requires_new', 'not_supported'] as const)(
    '%s writes nothing of its caller, and keeps what runs beside it in the transaction',
    async (propagation) => {
      const work = factory.begin(async (session) => {
        session.create(Note, { text: 'not flushed' });
        await Promise.all([books[propagation](), session.insert(Note, { text: 'beside' }), books[propagation]()]);
        throw new OnPurpose();
      });

      await expect(work).rejects.toThrow(OnPurpose);
      expect(await database.query('select text from note')).toEqual([{ text: 'a' }, { text: 'a' }]);
    },
  );

  it.each(['requires_new', 'not_supported'] as const)(
    '%s does not wait for a row that its caller has changed and changes again',
    async (propagation) => {
      await database.query("insert into note (text) values ('x')");

      await factory.begin(async (session) => {
        const note = await session.findOneOrFail(Note, { text: 'x' });
        note.text = 'y';
        await session.flush();
        note.text = 'z';
        await books[propagation]();
      });

      expect(await database.query('select text from note order by text')).toEqual([{ text: 'a' }, { text: 'z' }]);
    },
  );

  it('has its flush mode in a scope and outside of every scope', async () => {
    expect(await books.countUnflushed()).toBe(0);
    expect(await factory.run(() => books.countUnflushed())).toBe(1);
  });

  it('requires_new has options of its own', async () => {
    expect(await factory.begin(() => books.levelOfItsOwn())).toBe('serializable');
  });
});

describe('the defaults of the transactions of a connection', () => {
  let database: TestDatabase;
  let app: TestApp;
  let books: Books;
  let factory: SessionFactory<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({
      databaseUrl: database.url,
      session: { transactions: { isolationLevel: 'repeatable read', readOnly: true } },
      providers: [Books],
    });
    books = app.get(Books);
    factory = app.get(SessionFactory);
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  const level = async (session: EntityManager): Promise<unknown> => {
    const [row] = await session.execute<{ value: string }[]>(
      "select current_setting('transaction_isolation') as value",
    );
    return row?.value;
  };

  it('hold for blocks, jobs, methods and savepoints', async () => {
    const jobs = app.get<JobService<EntityManager>>(JobService);

    expect(await factory.begin(level)).toBe('repeatable read');
    expect(await factory.run((session) => session.transactional(level))).toBe('repeatable read');
    expect(await factory.begin((session) => session.transactional(level))).toBe('repeatable read');
    expect(await jobs.map([1], level)).toEqual(['repeatable read']);
    expect(await books.isReadOnly()).toBe('on');
  });

  it('hold for the transaction of a flush', async () => {
    const flushed = factory.run(async (session) => {
      session.create(Note, { text: 'a' });
      await session.flush();
    });

    await expect(flushed).rejects.toThrow('read-only transaction');
  });

  it('give way to the options of one transaction', async () => {
    expect(await books.add()).toBe(true);
    expect(await books.levelOfItsOwn()).toBe('serializable');
  });

  it('are what a method that joins compares with', async () => {
    await expect(factory.begin(() => books.add())).rejects.toThrow('which has `true`');
  });

  it('are checked at the start', async () => {
    const start = (transactions: object): Promise<TestApp> =>
      startTestApp({ databaseUrl: database.url, session: { transactions } });

    await expect(start({ isolationLevel: 'strict' })).rejects.toThrow('Expected `transactions.isolationLevel` to be ');
    await expect(start({ clear: true })).rejects.toThrow('SessionModule has no option `transactions.clear`.');
  });
});

it.each([
  [{ propagation: 'sometimes' }, 'Expected `transaction.propagation` to be '],
  [{ propagation: 'never', readOnly: true }, "propagation: 'never' } }) begins no transaction"],
  [{ propagation: 'supports', isolationLevel: 'serializable' }, 'so that `isolationLevel` would have no effect.'],
])('@InSession() refuses the transaction %j', (transaction, message) => {
  expect(() => InSession({ transaction: transaction as object })).toThrow(message);
});

it('@InSession() refuses a transaction to join in a session of its own', () => {
  expect(() => InSession({ propagation: 'new', transaction: { propagation: 'mandatory' } })).toThrow(
    'and no transaction to join.',
  );
});
