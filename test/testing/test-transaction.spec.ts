import { IsolationLevel, raw } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService, SessionContext, SessionFactory, SessionRegistry, SessionStateError } from 'nestjs-mikro-session';
import { SessionTesting } from 'nestjs-mikro-session/testing';

import { Note } from '../support/note.entity.js';
import { poll } from '../support/poll.js';
import type { TestApp } from '../support/test-app.js';
import { HANDS_OUT_POOL } from '../support/hands-out-pool.js';
import { itSince } from '../support/since.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { startTestingApp } from './testing-app.js';
import { Owner, Pet } from './testing.entities.js';

describe('the transaction of a test', () => {
  let database: TestDatabase;
  let app: TestApp;
  let factory: SessionFactory<EntityManager>;
  let jobs: JobService<EntityManager>;
  let testing: SessionTesting<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestingApp({ databaseUrl: database.url });
    factory = app.get(SessionFactory);
    jobs = app.get(JobService);
    testing = await SessionTesting.create<EntityManager>(app.app);
  });

  afterAll(async () => {
    await app.app.close();
    await database.drop();
  });

  beforeEach(() => testing.begin());

  afterEach(async () => {
    await testing.rollBack();
    // Nothing is ever there for others, whatever a test did.
    expect(await database.query('select name from owner union all select name from pet')).toEqual([]);
    expect(
      await database.query(
        `select from pg_locks join pg_database on pg_database.oid = database
        where locktype = 'advisory' and datname = current_database()`,
      ),
    ).toEqual([]);
    expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
  });

  const names = (): Promise<string[]> =>
    factory.run(async (session) =>
      (await session.find(Owner, {}, { orderBy: { name: 'asc' } })).map(({ name }) => name),
    );

  const add = (name: string): Promise<Owner> => factory.begin(async (session) => session.create(Owner, { name }));

  it('keeps what sessions commit and drops what they roll back', async () => {
    await add('kept');
    const failed = factory.begin(async (session) => {
      session.create(Owner, { name: 'dropped' });
      await session.flush();
      throw new Error('no');
    });

    await expect(failed).rejects.toThrow('no');
    expect(await names()).toEqual(['kept']);
  });

  it('keeps savepoints of sessions in their transactions', async () => {
    await factory.begin(async (session) => {
      session.create(Owner, { name: 'outer' });
      await session.flush();
      const inner = session.transactional(async (nested) => {
        nested.create(Owner, { name: 'inner' });
        await nested.flush();
        nested.create(Owner, { name: 'outer' });
      });
      await expect(inner).rejects.toThrow(/unique/);
      await session.transactional(async (nested) => nested.create(Owner, { name: 'second' }));
    });

    expect(await names()).toEqual(['outer', 'second']);
  });

  it('goes on after a statement that failed outside of a transaction', async () => {
    await add('Ada');

    await expect(factory.run((session) => session.execute('select nothing'))).rejects.toThrow(/nothing/);
    await expect(factory.run((session) => session.execute('this is no SQL'))).rejects.toThrow(/syntax/);

    expect(await names()).toEqual(['Ada']);
  });

  it('goes on after a first statement of a transaction that is no SQL', async () => {
    await add('Ada');

    await expect(factory.begin((session) => session.execute('this is no SQL'))).rejects.toThrow(/syntax/);

    expect(await names()).toEqual(['Ada']);
  });

  it('refuses to commit after an error that was caught, as in production', async () => {
    const caught = factory.begin(async (session) => {
      session.create(Owner, { name: 'Ada' });
      await session.flush();
      await session.execute('select 1 / 0').catch(() => undefined);
    });

    await expect(caught).rejects.toThrow(expect.objectContaining({ code: 'TRANSACTION_ABORTED' }));
    expect(await names()).toEqual([]);
  });

  it('checks deferred constraints where a session commits', async () => {
    const orphan = (session: EntityManager): Promise<unknown> =>
      session.execute(`insert into pet (name, owner_id) values ('Rex', 4711)`);
    let isInserted = false;
    const failed = factory.begin(async (session) => {
      await orphan(session);
      isInserted = true;
    });

    await expect(failed).rejects.toThrow(/foreign key/);
    await add('Ben');
    await expect(factory.run(orphan)).rejects.toThrow(/foreign key/);
    expect(isInserted).toBe(true);
    // They are deferred for the next one too.
    await factory.begin(async (session) => {
      await session.execute(`insert into pet (id, name, owner_id) values (1, 'Rex', 4711)`);
      await session.execute(`insert into owner (id, name) values (4711, 'Ada')`);
    });
    expect(await factory.run((session) => session.count(Pet))).toBe(1);
    expect(await names()).toEqual(['Ada', 'Ben']);
  });

  it('runs the callbacks for how a transaction of a session ended', async () => {
    const context = app.get<SessionContext<EntityManager>>(SessionContext);
    const seen: string[] = [];
    const listen = (): void => {
      context.afterCommit(() => void seen.push('commit'));
      context.afterRollback(() => void seen.push('rollback'));
    };

    await factory.begin(async (session) => {
      listen();
      await session.flush();
    });
    await expect(
      factory.begin(async (session) => {
        listen();
        await session.execute(`insert into pet (name, owner_id) values ('Rex', 4711)`);
      }),
    ).rejects.toThrow(/foreign key/);

    expect(seen).toEqual(['commit', 'rollback']);
  });

  it.each([
    [`set local application_name = 'mine'`, `current_setting('application_name')`, ''],
    [`select set_config('app.tenant', 'mine', true)`, `current_setting('app.tenant', true)`, ''],
    [`set local role pg_monitor`, 'current_user = session_user', true],
    [`set local session_replication_role = replica`, `current_setting('session_replication_role')`, 'origin'],
  ])('takes back what a session has set for its transaction: %s', async (set, get, before) => {
    await factory.begin(async (session) => {
      await session.execute(set);
      await session.execute('select 1');
    });

    const [row] = await factory.run((session) => session.execute<{ is: unknown }[]>(`select ${get} as is`));
    expect(row?.is ?? '').toBe(before);
  });

  it('begins transactions of any isolation level, and holds read only ones to it', async () => {
    const write = (session: EntityManager): Promise<unknown> =>
      session.execute(`insert into owner (name) values ('x')`);

    await factory.begin(write, { transaction: { isolationLevel: IsolationLevel.SERIALIZABLE } });
    await expect(factory.begin(write, { transaction: { readOnly: true } })).rejects.toThrow(/read-only/);
    await factory.begin(async (session) => session.execute('select 1'), { transaction: { readOnly: true } });

    await add('y');
    expect(await names()).toEqual(['x', 'y']);
  });

  it('streams, also when the stream is left half read', async () => {
    await factory.begin(async (session) => {
      for (const name of ['a', 'b', 'c', 'd']) {
        session.create(Owner, { name });
      }
    });
    const seen: string[] = [];

    await factory.run(async (session) => {
      for await (const { name } of session.stream(Owner, { orderBy: { name: 'asc' } })) {
        seen.push(name);
        if (name === 'b') {
          break;
        }
      }
    });
    await factory.begin(async (session) => {
      for await (const { name } of session.stream(Owner, { orderBy: { name: 'asc' } })) {
        seen.push(name);
        await session.execute('select 1');
      }
    });

    expect(seen).toEqual(['a', 'b', 'a', 'b', 'c', 'd']);
    expect(await names()).toHaveLength(4);
  });

  it('ends a stream that nobody reads on', async () => {
    await add('Ada');
    const stream = await factory.run(async (session) => {
      const stream = session.stream(Owner, {})[Symbol.asyncIterator]();
      await stream.next();
      return { stream };
    });

    expect(stream).toBeDefined();
    expect(await names()).toEqual(['Ada']);
  });

  it('refuses at once what the reader of a stream asks for that has no transaction', async () => {
    await testing.run((session) =>
      session.execute(`insert into owner (name) select 'owner ' || nth from generate_series(1, 5000) nth`),
    );
    const reading = factory.run(async (session) => {
      for await (const _ of session.stream(Owner, {})) {
        await session.count(Pet);
      }
    });

    await expect(reading).rejects.toThrow(/all sessions of a test share one connection/);
    expect(await names()).toHaveLength(5000);
  });

  it('goes on after a stream that failed', async () => {
    await add('Ada');
    const failed = factory.run((session) =>
      Array.fromAsync(
        session
          .createQueryBuilder(Owner, 'o')
          .select([raw('1 / (o.id - o.id) as id')])
          .stream(),
      ),
    );

    await expect(failed).rejects.toThrow(/division by zero/);
    expect(await names()).toEqual(['Ada']);
  });

  it('ends the statement of a job whose time is up, and goes on', async () => {
    await add('Ada');

    const [outcome] = await jobs.settle([1], (session) => session.execute('select pg_sleep(60)'), { timeout: 200 });

    expect(outcome?.status).toBe('rejected');
    expect(await names()).toEqual(['Ada']);
  });

  it('ends what a test forgot to await', async () => {
    const held = Promise.withResolvers<void>();
    const idle = Promise.withResolvers<void>();
    const forgotten = Promise.allSettled([
      factory.begin(async (session) => {
        session.create(Owner, { name: 'forgotten' });
        await session.flush();
        held.resolve();
        await session.execute('select pg_sleep(60)');
      }),
      factory.begin(async (session) => {
        await held.promise;
        session.create(Owner, { name: 'waiting' });
      }),
      factory.begin(async (session) => {
        session.create(Owner, { name: 'idle' });
        await idle.promise;
      }),
    ]);
    await held.promise;

    await testing.rollBack();

    idle.resolve();
    expect((await forgotten).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    expect(
      await database.query(`select from pg_stat_activity where query like '%pg_sleep(60)%' and state = 'active'
      and pid <> pg_backend_pid()`),
    ).toEqual([]);
  });

  itSince('@mikro-orm/core', HANDS_OUT_POOL)('ends at once what waits for the server, or for its reader', async () => {
    const native = await (app.orm.em as EntityManager).getDriver().getConnection().getNativeClient();
    const client = await native.connect();
    const forgotten = Promise.allSettled([client.query('select pg_sleep(61)')]);
    await database.until(`select count(*) = 1 from pg_stat_activity where query = 'select pg_sleep(61)'`);
    await testing.rollBack();
    await testing.begin();
    await testing.run((session) =>
      session.execute(`insert into owner (name) select 'owner ' || nth from generate_series(1, 5000) nth`),
    );
    const goOn = Promise.withResolvers<void>();
    const read = Promise.withResolvers<void>();
    const reading = Promise.allSettled([
      factory.run(async (session) => {
        for await (const _ of session.stream(Owner, {})) {
          read.resolve();
          await goOn.promise;
        }
      }),
    ]);
    await read.promise;
    const before = performance.now();

    await testing.rollBack();

    const time = performance.now() - before;
    goOn.resolve();
    expect(time).toBeLessThan(400);
    expect((await Promise.all([forgotten, reading])).flat().map(({ status }) => status)).toEqual([
      'rejected',
      'rejected',
    ]);
    expect(
      await database.query(`select from pg_stat_activity where query = 'select pg_sleep(61)' and state = 'active'`),
    ).toEqual([]);
  });

  it('gives no connection between two tests', async () => {
    await testing.rollBack();

    await expect(add('late')).rejects.toThrow(/between two tests/);
    await expect(names()).rejects.toThrow(SessionStateError);
  });

  it('refuses what was begun in a test that is over', async () => {
    const begun = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const late = factory.begin(async (session) => {
      begun.resolve();
      await goOn.promise;
      await session.execute(`insert into owner (name) values ('late')`);
    });
    await begun.promise;

    await testing.rollBack();
    await testing.begin();
    goOn.resolve();

    await expect(late).rejects.toThrow(/its test had been rolled back/);
    expect(await names()).toEqual([]);
  });

  it('leaves no lock', async () => {
    await factory.run((session) => session.execute('select pg_advisory_lock(1)'));
    // What a function does inside shows to nobody.
    await factory.run((session) =>
      session.execute(`create function lock_it() returns void language sql as 'select pg_advisory_lock(3)'`),
    );
    await factory.run((session) => session.execute('select lock_it()'));
    await factory.begin((session) => session.execute('select pg_advisory_xact_lock(2)'));

    expect(await names()).toEqual([]);
  });

  it('refuses a text that would end it', async () => {
    const end = factory.run((session) => session.execute('begin; select 1; commit'));

    await expect(end).rejects.toThrow(/would end the transaction of the test/);
  });

  itSince('@mikro-orm/core', HANDS_OUT_POOL)('serves code that asks the pool itself', async () => {
    const pool = await (app.orm.em as EntityManager).getDriver().getConnection().getNativeClient();

    await pool.query(`insert into owner (name) values ($1)`, ['of the pool']);
    const client = await pool.connect();
    await client.query('BEGIN');
    await client.query(`insert into owner (name) values ('dropped')`);
    await client.query('ROLLBACK');
    client.release();

    expect(await names()).toEqual(['of the pool']);
  });

  it('gives up a wait for a transaction in which nothing goes on', async () => {
    const held = testing.run(async (session) => {
      session.create(Owner, { name: 'Ada' });
      await session.flush();
      return (await fetch(`${app.url}/owners`)).status;
    });

    expect(await held).toBe(500);
  });

  it('lets nobody wait who only begins a transaction', async () => {
    await factory.run(async (session) => {
      await session.begin();
      await add('Ada');
      await session.commit();
    });

    expect(await names()).toEqual(['Ada']);
  });

  it('commits again after end(), until the next begin()', async () => {
    await testing.rollBack();

    testing.end();
    await factory.begin(async (session) => session.create(Note, { text: 'for good' }));
    await testing.begin();

    expect(await database.query('select text from note')).toEqual([{ text: 'for good' }]);
    expect(await testing.run((session) => session.nativeDelete(Note, {}))).toBe(1);
    await poll('the row is there for others', async () => (await database.query('select from note')).length === 1);
  });

  it('is begun once, and used where it is open', async () => {
    await expect(testing.begin()).rejects.toThrow(/while a test was open/);
    await testing.rollBack();
    await expect(testing.run(() => 1)).rejects.toThrow(/where no test is open/);
    await expect(testing.rollBack()).resolves.toBeUndefined();
  });
});
