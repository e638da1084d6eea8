import { IsolationLevel, QueryOrder, type TransactionOptions } from '@mikro-orm/core';
import type { EntityManager, Kysely, MikroORM, Options } from '@mikro-orm/postgresql';
import { Transactional } from '@mikro-orm/decorators/legacy';
import { Injectable } from '@nestjs/common';
import {
  InjectSession,
  InSession,
  JobService,
  SessionContext,
  SessionFactory,
  SessionPoolDeadlockError,
  SessionRegistry,
} from 'nestjs-mikro-session';
import type { Pool } from 'pg';

import { catchPool } from '../support/catch-pool.js';
import { findTexts } from '../support/find-texts.js';
import { NetworkProxy } from '../support/network-proxy.js';
import { Note } from '../support/note.entity.js';
import { ROW_LEVEL_SECURITY } from '../support/row-level-security.js';
import { itSince } from '../support/since.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { poll } from '../support/poll.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const POOL_SIZE = 2;
const ROLE = 'first_statement_role';

@Injectable()
class Notes {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  @InSession({ transaction: true })
  async inSession(work: (session: EntityManager) => unknown): Promise<void> {
    await work(this.session);
  }

  @InSession()
  async decorated(work: (session: EntityManager) => unknown): Promise<void> {
    await this.transactional(work);
  }

  @Transactional()
  private async transactional(work: (session: EntityManager) => unknown): Promise<void> {
    await work(this.session);
  }
}

type Work = (session: EntityManager) => unknown;

describe('a transaction', () => {
  let database: TestDatabase;
  let network: NetworkProxy;
  let app: TestApp;
  let pool: Pool;
  let factory: SessionFactory<EntityManager>;
  let jobs: JobService<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    network = await NetworkProxy.start(database.url);
    const caught = catchPool();
    app = await startTestApp({
      databaseUrl: network.url,
      providers: [Notes],
      session: { injection: 'contextual' },
      orm: { pool: { min: 0, max: POOL_SIZE }, ...caught.options },
    });
    pool = await caught.pool;
    factory = app.get(SessionFactory);
    // What made the table changed the settings of its connection, which are reset when a session has used it.
    await factory.run((session) => session.execute('select 1'));
    await poll('the pool is idle', async () => pool.totalCount === pool.idleCount);
    jobs = app.get(JobService);
    await database.query(`create role ${ROLE}`);
    await database.query(`grant all on all tables in schema public to ${ROLE}`);
  });

  afterEach(async () => {
    await network.heal();
    expect([pool.totalCount - pool.idleCount, pool.waitingCount]).toEqual([0, 0]);
    expect(await database.query(IDLE_IN_TRANSACTION)).toEqual([]);
    await database.query('delete from note');
  });

  afterAll(async () => {
    await app.close();
    await database.query(`drop owned by ${ROLE}`);
    await database.query(`drop role ${ROLE}`);
    await database.drop();
    await network.close();
  });

  const texts = (): Promise<string[]> => findTexts(database);

  const answersTo = async (work: () => Promise<unknown>): Promise<number> => {
    await factory.run((session) => session.execute('select 1'));
    const before = network.answers;
    await work();
    return network.answers - before;
  };

  /** With it go the connections that were idle. */
  const loseServer = async (): Promise<void> => {
    network.refuse();
    network.cut();
    await poll('the pool is empty', async () => pool.totalCount === 0);
  };

  const ways: Record<string, (work: Work) => Promise<unknown>> = {
    'a job': (work) => jobs.map([1], async (session) => void (await work(session))),
    'a job with a time-out': (work) =>
      jobs.map([1], async (session) => void (await work(session)), { timeout: 20_000 }),
    'SessionFactory.begin()': (work) => factory.begin(work),
    '@InSession({ transaction })': (work) => app.get<Notes>(Notes).inSession(work),
    '@Transactional()': (work) => app.get<Notes>(Notes).decorated(work),
    'begin() and commit()': (work) =>
      factory.run(async (session) => {
        await session.begin();
        await work(session);
        await session.commit();
      }),
    'transactional()': (work) =>
      factory.run((session) => session.transactional(async (inner) => void (await work(inner)))),
    'a fork of the application’s EntityManager': (work) =>
      (app.orm.em as EntityManager).fork().transactional(async (inner) => void (await work(inner))),
  };

  describe.each(Object.entries(ways))('of %s', (_name, way) => {
    it('takes no connection and says nothing to the server without a statement', async () => {
      const held: number[] = [];

      const answers = await answersTo(() => way(() => void held.push(pool.totalCount - pool.idleCount)));

      expect([answers, held]).toEqual([0, [0]]);
    });

    it('takes two round trips to insert a row', async () => {
      const answers = await answersTo(() => way((session) => session.insert(Note, { text: 'one' })));

      expect([answers, await texts()]).toEqual([2, ['one']]);
    });

    it('takes two round trips to read', async () => {
      expect(await answersTo(() => way((session) => session.find(Note, {})))).toBe(2);
    });

    it('undoes all when its work throws after a statement, and says nothing when it throws before', async () => {
      const fail = (before: Work): Promise<unknown> =>
        way(async (session) => {
          await before(session);
          throw new Error('on purpose');
        }).catch(() => undefined);

      const answers = [
        await answersTo(() => fail((session) => session.insert(Note, { text: 'one' }))),
        await answersTo(() => fail(() => undefined)),
      ];

      expect([answers, await texts()]).toEqual([[2, 0], []]);
    });
  });

  it('of a flush takes two round trips', async () => {
    const flush = (): Promise<unknown> =>
      factory.run(async (session) => {
        session.create(Note, { text: 'one' });
        await session.flush();
      });

    expect([await answersTo(flush), await texts()]).toEqual([2, ['one']]);
  });

  itSince('@mikro-orm/core', ROW_LEVEL_SECURITY)(
    'sends its isolation level, its access mode, its settings and its role with the first statement',
    async () => {
      const told: unknown[] = [];
      const read = (): Promise<unknown> =>
        factory.begin(
          async (session) =>
            told.push(
              ...(await session.execute(
                `select current_setting('transaction_isolation') as level, current_setting('transaction_read_only') as mode,
               current_setting('app.tenant') as tenant, current_user::text as user`,
              )),
            ),
          {
            transaction: { isolationLevel: IsolationLevel.REPEATABLE_READ, readOnly: true },
            fork: { session: { role: ROLE, variables: { 'app.tenant': 'bücher; --' } } },
          },
        );

      expect([await answersTo(read), told]).toEqual([
        2,
        [{ level: 'repeatable read', mode: 'on', tenant: 'bücher; --', user: ROLE }],
      ]);
    },
  );

  itSince('@mikro-orm/core', ROW_LEVEL_SECURITY)(
    'tells at the first statement that a role does not exist, and at commit',
    async () => {
      const errors: unknown[] = [];
      const work = factory.begin(
        async (session) => {
          await session.insert(Note, { text: 'one' }).catch((error: unknown) => errors.push(error));
          await session.insert(Note, { text: 'two' }).catch((error: unknown) => errors.push(error));
        },
        { fork: { session: { role: 'nobody_there' } } },
      );

      await expect(work).rejects.toMatchObject({ code: 'TRANSACTION_ABORTED' });
      expect(errors).toMatchObject([{ code: '22023' }, { code: '25P02' }]);
      expect(await texts()).toEqual([]);
    },
  );

  it('tells the error of BEGIN at the first statement, at each one after it, and at commit, and commits nothing', async () => {
    const errors: unknown[] = [];
    const insert = (session: EntityManager, text: string): Promise<unknown> =>
      session.insert(Note, { text }).catch((error: unknown) => errors.push(error));
    const work = factory.run((session) =>
      session.transactional(
        async (inner) => {
          await Promise.all([insert(inner, 'one'), insert(inner, 'two')]);
          await insert(inner, 'three');
        },
        // Kysely lets it pass, and PostgreSQL does not.
        JSON.parse('{ "isolationLevel": "snapshot" }') as TransactionOptions,
      ),
    );

    await expect(work).rejects.toMatchObject({ code: '42601' });
    expect(errors).toMatchObject([{ code: '42601' }, { code: '42601' }, { code: '42601' }]);
    expect(await texts()).toEqual([]);
  });

  it('tells at the first statement that there is no server', async () => {
    await loseServer();
    const began: boolean[] = [];
    const work = factory.begin(async (session) => {
      began.push(session.isInTransaction());
      await session.insert(Note, { text: 'one' });
    });

    await expect(work).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(began).toEqual([true]);
  });

  it('is retried when its first statement found no server', async () => {
    await loseServer();
    const attempts: number[] = [];
    const results = await jobs.map(
      [1],
      async (session, _input, job) => {
        attempts.push(job.attempt);
        if (job.attempt === 2) {
          await network.accept();
        }
        await session.insert(Note, { text: 'one' });
      },
      { retry: { limit: 2, delay: 0, jitter: 0 } },
    );

    expect([results, attempts, await texts()]).toEqual([[undefined], [1, 2], ['one']]);
  });

  it('has the time of its first statement', async () => {
    const [row] = await factory.begin(async (session) => {
      const [before] = await database.query<{ time: string }>('select clock_timestamp()::text as time');
      return session.execute<{ isLater: boolean }[]>('select now() > ?::timestamptz as "isLater"', [before?.time]);
    });

    expect(row).toEqual({ isLater: true });
  });

  describe('with the parameters of a query of Kysely', () => {
    const insert = (session: EntityManager, text: unknown): Promise<unknown> =>
      session.getKysely<{ note: { text: unknown } }>().insertInto('note').values({ text }).execute();

    it('begins in the round trip of its first statement', async () => {
      const transaction = { isolationLevel: IsolationLevel.SERIALIZABLE };
      let level: unknown;

      const answers = await answersTo(() =>
        factory.begin(
          async (session) => {
            level = await session
              .getKysely()
              .selectNoFrom((eb) => eb.fn('current_setting', [eb.val('transaction_isolation')]).as('level'))
              .execute();
          },
          { transaction },
        ),
      );

      expect([answers, level]).toEqual([2, [{ level: 'serializable' }]]);
    });

    it('sends a savepoint in the round trip of the first statement in it', async () => {
      const answers = await answersTo(() =>
        factory.begin(async (session) => {
          await insert(session, 'before');
          await session.transactional((inner) => insert(inner, 'within'));
        }),
      );

      // Two statements, the end of the savepoint, and COMMIT.
      expect([answers, await texts()]).toEqual([4, ['before', 'within']]);
    });

    itSince('@mikro-orm/core', ROW_LEVEL_SECURITY)(
      'sends the settings and the role of the session with it',
      async () => {
        let row: unknown;

        const answers = await answersTo(() =>
          factory.begin(
            async (session) => {
              [row] = await session
                .getKysely()
                .selectNoFrom((eb) => [
                  eb.fn('current_setting', [eb.val('app.tenant')]).as('tenant'),
                  eb.fn('current_setting', [eb.val('role')]).as('role'),
                ])
                .execute();
            },
            { fork: { session: { role: ROLE, variables: { 'app.tenant': 'a; b' } } } },
          ),
        );

        expect([answers, row]).toEqual([2, { tenant: 'a; b', role: ROLE }]);
      },
    );

    itSince('@mikro-orm/core', ROW_LEVEL_SECURITY)(
      'tells the error of what is sent before it, and runs nothing',
      async () => {
        const failed = factory.begin((session) => insert(session, 'never'), {
          fork: { session: { role: 'no_such_role' } },
        });

        await expect(failed).rejects.toMatchObject({ code: '22023' });
        expect(await texts()).toEqual([]);
      },
    );

    it('goes on in the transaction after parameters that cannot be sent', async () => {
      const circular: { self?: unknown } = {};
      circular.self = circular;

      await factory.begin(async (session) => {
        await expect(insert(session, circular)).rejects.toThrow('circular');
        await insert(session, 'after');
      });

      expect(await texts()).toEqual(['after']);
    });
  });

  const firsts: Record<string, Work> = {
    'a statement without parameters': (session) => session.execute('select 7 as seven'),
    'one with parameters': (session) => session.execute('select ?::int as seven', [7]),
    'one with parameters of Kysely': (session) =>
      session
        .getKysely()
        .selectNoFrom((eb) => eb.val(7).as('seven'))
        .execute(),
    'a query builder': (session) =>
      session
        .createQueryBuilder(Note)
        .count()
        .execute()
        .then(() => [{ seven: 7 }]),
    'a text of several statements': (session) => session.execute('set local app.x = 1; select 7 as seven'),
    'a text with a comment before and a semicolon behind': (session) => session.execute('-- seven\nselect 7 as seven;'),
    'an empty text': (session) => session.execute(''),
    'a stream': async (session) => {
      const rows: unknown[] = [];
      for await (const row of session.createQueryBuilder(Note).stream()) {
        rows.push(row);
      }
      return rows;
    },
    'a text with letters outside of ASCII': (session) => session.execute(`select 'çok güzel 🙂' as text`),
    'a statement that returns no rows': (session) => session.execute('select 1 where false'),
    'a write that tells how many': (session) => session.nativeUpdate(Note, {}, { text: 'x' }),
    'a count': (session) => session.count(Note),
  };

  it.each(Object.entries(firsts))('begins with %s as it goes on with it', async (_name, work) => {
    const answers = await factory.begin(async (session) => [await work(session), await work(session)] as const);

    expect(answers[0]).toEqual(answers[1]);
  });

  it('tells the place of an error in the statement that was given', async () => {
    const sql = 'select "çok", nothing from nowhere';
    const positions: unknown[] = [];
    const note = (error: { position?: string }): unknown => positions.push(error.position);

    await factory.run((session) => session.execute(sql).catch(note));
    await factory.begin((session) => session.execute(sql).catch(note)).catch(() => undefined);

    expect(positions).toEqual([expect.any(String), positions[0]]);
  });

  it('refuses its end as a first statement, and goes on', async () => {
    await factory.begin(async (session) => {
      await expect(session.execute('rollback')).rejects.toThrow('The statement "rollback" was refused');
      await session.insert(Note, { text: 'one' });
    });

    expect(await texts()).toEqual(['one']);
  });

  it('begins once when its first statements overlap', async () => {
    const ids: unknown[] = [];
    const work = (): Promise<unknown> =>
      factory.begin(async (session) => {
        const answers = await Promise.all([
          session.execute<{ id: string }[]>('select txid_current()::text as id'),
          session.execute<{ id: string }[]>('select ?::text, txid_current()::text as id', ['x']),
          session.execute<{ id: string }[]>('select txid_current()::text as id'),
          session.find(Note, {}),
        ]);
        ids.push(...answers.slice(0, 3).flatMap((rows) => rows.map(({ id }) => id)));
      });

    expect(await answersTo(work)).toBe(5);
    expect([ids.length, new Set(ids).size]).toEqual([3, 1]);
  });

  it('is not begun by a statement that failed before, and those beside it', async () => {
    const ends = await Promise.allSettled([
      factory.begin((session) =>
        Promise.allSettled([
          session.execute('select nothing'),
          session.insert(Note, { text: 'beside' }),
          session.createQueryBuilder(Note).getResultList(),
        ]),
      ),
    ]);

    expect(ends).toMatchObject([{ status: 'rejected', reason: { code: 'TRANSACTION_ABORTED' } }]);
    expect(await texts()).toEqual([]);
  });

  describe('with savepoints', () => {
    it('says nothing to the server when there is no statement in them', async () => {
      const work = (): Promise<unknown> =>
        factory.begin(async (session) => {
          await session.transactional((inner) => inner.transactional(() => undefined));
          await session
            .transactional(() => {
              throw new Error('on purpose');
            })
            .catch(() => undefined);
        });

      expect(await answersTo(work)).toBe(0);
    });

    it('sends them with the first statement in them', async () => {
      const work = (): Promise<unknown> =>
        factory.begin((session) =>
          session.transactional((inner) => inner.transactional((innermost) => innermost.insert(Note, { text: 'one' }))),
        );

      // BEGIN, two savepoints and the row; two releases; the end.
      expect([await answersTo(work), await texts()]).toEqual([4, ['one']]);
    });

    it('undoes the one that fails and keeps the rest', async () => {
      await factory.begin(async (session) => {
        const failing = session.transactional(async (inner) => {
          await inner.insert(Note, { text: 'lost' });
          await inner.transactional(() => undefined);
          throw new Error('on purpose');
        });
        await expect(failing).rejects.toThrow('on purpose');
        await session.transactional((inner) => inner.insert(Note, { text: 'kept' }));
        const empty = session.transactional(() => {
          throw new Error('on purpose');
        });
        await expect(empty).rejects.toThrow('on purpose');
        await session.insert(Note, { text: 'outer' });
      });

      expect(await texts()).toEqual(['kept', 'outer']);
    });

    it('refuses one where the transaction has failed', async () => {
      let isEntered = false;
      const work = factory.begin(async (session) => {
        await session.execute('select nothing').catch(() => undefined);
        await session.transactional(() => {
          isEntered = true;
        });
      });

      await expect(work).rejects.toMatchObject({ code: '25P02' });
      expect(isEntered).toBe(false);
    });

    it('takes a round trip less for one in a transaction that goes on', async () => {
      const work = (): Promise<unknown> =>
        factory.begin(async (session) => {
          await session.insert(Note, { text: 'outer' });
          await session.transactional((inner) => inner.insert(Note, { text: 'inner' }));
        });

      expect([await answersTo(work), await texts()]).toEqual([4, ['outer', 'inner']]);
    });
  });

  it('reads a stream as its first statement, which may be left', async () => {
    await database.query(`insert into note (text, tenant) select n::text, 'a' from generate_series(1, 300) n`);
    const read: string[] = [];
    await factory.begin(async (session) => {
      for await (const { text } of session.stream(Note, { orderBy: { id: QueryOrder.ASC } })) {
        read.push(text);
        if (read.length === 3) {
          break;
        }
      }
      await session.insert(Note, { text: 'after' });
    });

    expect([read, (await texts()).at(-1)]).toEqual([['1', '2', '3'], 'after']);
  });

  it('lets more jobs wait for the outside than there are connections', async () => {
    const all = Promise.withResolvers<void>();
    let inside = 0;
    const inputs = Array.from({ length: 20 }, (_, index) => index);

    await jobs.map(
      inputs,
      async (session, input) => {
        inside += 1;
        if (inside === inputs.length) {
          all.resolve();
        }
        await all.promise;
        await session.insert(Note, { text: String(input) });
      },
      { concurrency: inputs.length },
    );

    expect((await texts()).map(Number).toSorted((a, b) => a - b)).toEqual(inputs);
  });

  it('gives connections in the order in which the first statements asked for them', async () => {
    const order: number[] = [];
    const releases = Array.from({ length: POOL_SIZE }, () => Promise.withResolvers<void>());
    const holders = releases.map((release) =>
      factory.begin(async (session) => {
        await session.execute('select 1');
        await release.promise;
      }),
    );
    await poll('all connections are held', async () => pool.totalCount - pool.idleCount === POOL_SIZE);
    const waiting = [3, 1, 2].map((input) =>
      factory.begin(async (session) => {
        await session.execute('select 1');
        order.push(input);
      }),
    );
    // One place in the pool, for one after the other.
    releases[0]?.resolve();
    await Promise.all(waiting);
    releases[1]?.resolve();
    await Promise.all(holders);

    expect(order).toEqual([3, 1, 2]);
  });

  it('counts its wait for a connection in the time of its job', async () => {
    const release = Promise.withResolvers<void>();
    const holders = Array.from({ length: POOL_SIZE }, () =>
      factory.begin(async (session) => {
        await session.execute('select 1');
        await release.promise;
      }),
    );
    await poll('all connections are held', async () => pool.totalCount - pool.idleCount === POOL_SIZE);

    const printed = import.meta.jest.spyOn(console, 'error').mockReturnValue();
    const [outcome] = await jobs.settle([1], (session) => session.insert(Note, { text: 'one' }), { timeout: 100 });
    release.resolve();
    await Promise.all(holders);

    expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'JOB_TIMED_OUT' } });
    // Kysely prints what fails when nobody waits for it any more.
    expect(printed).not.toHaveBeenCalled();
    printed.mockRestore();
    expect(await texts()).toEqual([]);
  });

  it('gives up its wait for a connection when it is rolled back', async () => {
    const release = Promise.withResolvers<void>();
    const holders = Array.from({ length: POOL_SIZE }, () =>
      factory.begin(async (session) => {
        await session.execute('select 1');
        await release.promise;
      }),
    );
    await poll('all connections are held', async () => pool.totalCount - pool.idleCount === POOL_SIZE);

    const abort = new AbortController();
    const work = factory.begin(async (session) => {
      const finding = session.find(Note, {}, { signal: abort.signal });
      abort.abort(new Error('changed my mind'));
      await finding;
    });
    await expect(work).rejects.toThrow('changed my mind');
    release.resolve();
    await Promise.all(holders);
  });

  it('cancels its first statement on the server when the time of its job is over', async () => {
    const [outcome] = await jobs.settle([1], (session) => session.execute('select pg_sleep(30)'), { timeout: 200 });

    expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'JOB_TIMED_OUT' } });
    await database.until(
      `select count(*) = 0 from pg_stat_activity where datname = current_database() and query like '%pg_sleep(30)%'
       and pid <> pg_backend_pid()`,
    );
  });

  it('is not taken for holding a connection before it has one', async () => {
    const registry = app.get<SessionRegistry>(SessionRegistry);
    const held = (): number[] => registry.list().map(({ heldConnections }) => heldConnections);
    const seen: number[][] = [];

    await factory.begin(async (session) => {
      seen.push(held());
      await session.execute('select 1');
      seen.push(held());
    });

    expect(seen.map((each) => each.at(-1))).toEqual([0, 1]);
  });

  it('is told of a deadlock of the pool at the statement that closes the circle', async () => {
    const hold = (depth: number): Promise<unknown> =>
      factory.begin(async (session) => {
        await session.execute('select 1');
        return depth > 1 ? hold(depth - 1) : factory.begin((one) => one.execute('select 1'));
      });

    await expect(hold(POOL_SIZE)).rejects.toThrow(SessionPoolDeadlockError);
    await expect(factory.begin(() => hold(POOL_SIZE - 1))).resolves.toEqual([{ '?column?': 1 }]);
  });

  it('runs its callbacks when it never began on the server', async () => {
    const context = app.get<SessionContext>(SessionContext);
    const calls: string[] = [];
    const register = (): void => {
      context.afterCommit(() => void calls.push('commit'));
      context.afterRollback(() => void calls.push('rollback'));
    };

    await factory.begin(register);
    await factory
      .begin(() => {
        register();
        throw new Error('on purpose');
      })
      .catch(() => undefined);

    expect(calls).toEqual(['commit', 'rollback']);
  });

  it('lets go of its connection at its end: who kept it writes into no later transaction', async () => {
    const kept = await factory.begin(async (session) => {
      await session.execute('select 1');
      const transaction = session.getTransactionContext() as Kysely<object>;
      return transaction.getExecutor().provideConnection(async (connection) => connection);
    });

    const late = factory.begin(async (session) => {
      await session.execute('select 1');
      const insert = session.getKysely<{ note: { text: string } }>().insertInto('note').values({ text: 'kept' });
      await kept.executeQuery(insert.compile());
    });

    await expect(late).rejects.toThrow('The transaction of "SessionFactory.begin" has ended');
    expect(await database.query('select text from note')).toEqual([]);
  });

  it('lets a subscriber to its start run its first statement', async () => {
    const { em } = app.orm;
    const levels: unknown[] = [];
    const subscriber = {
      async afterTransactionStart({ em: of, transaction }: { em: unknown; transaction?: unknown }): Promise<void> {
        const connection = (of as EntityManager).getConnection('write');
        levels.push(
          ...(await connection.execute(
            `select current_setting('transaction_isolation') as level`,
            [],
            'all',
            transaction,
          )),
        );
      },
    };
    em.getEventManager().registerSubscriber(subscriber);
    try {
      await factory.begin((session) => session.insert(Note, { text: 'one' }), {
        transaction: { isolationLevel: IsolationLevel.SERIALIZABLE },
      });
    } finally {
      em.getEventManager()
        .getSubscribers()
        .delete(subscriber as never);
    }

    expect([levels, await texts()]).toEqual([[{ level: 'serializable' }], ['one']]);
  });
});

describe('a connection that MikroORM sets up', () => {
  const hooks = {
    created: [] as number[],
    reserved: [] as number[],
  };

  interface Hooked {
    executeQuery(query: {
      readonly sql: string;
      readonly parameters: readonly unknown[];
    }): Promise<{ rows: { pid: number }[] }>;
  }

  const note = async (pids: number[], connection: Hooked, sql: string): Promise<void> => {
    const { rows } = await connection.executeQuery({ sql: `select pg_backend_pid() as pid, ${sql}`, parameters: [] });
    pids.push(...rows.map(({ pid }) => pid));
  };

  const start = (database: TestDatabase, orm: Partial<Options>): Promise<TestApp> =>
    startTestApp({ databaseUrl: database.url, orm: { pool: { min: 0, max: POOL_SIZE }, ...orm } });

  const STATE = `select pg_backend_pid() as pid, current_setting('app.created', true) as created,
    current_setting('app.tenant', true) as tenant`;

  interface State {
    readonly pid: number;
    readonly created: string | null;
    readonly tenant: string | null;
  }

  it('is so once when it is made, and each time that it is taken, with the first statement of a transaction', async () => {
    const database = await createTestDatabase();
    const app = await start(database, {
      onCreateConnection: (connection) =>
        note(hooks.created, connection as Hooked, `set_config('app.created', 'yes', false)`),
      onReserveConnection: (connection) => note(hooks.reserved, connection as Hooked, '1'),
    });
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    const read = (session: EntityManager): Promise<State[]> => session.execute<State[]>(STATE);
    hooks.created.length = 0;
    hooks.reserved.length = 0;
    // With the connection that made the table it is over.
    await (app.orm as MikroORM).reconnect();

    await factory.begin(() => undefined);
    const states = [
      await factory.begin(read),
      await factory.run(read),
      await factory.begin(read),
      ...(await Promise.all([factory.begin(read), factory.begin(read)])),
      ...(await Promise.all([factory.run(read), factory.run(read)])),
    ].flat();

    const pids = states.map(({ pid }) => pid);
    expect(states.map(({ created }) => created)).toEqual(states.map(() => 'yes'));
    expect(hooks.created.map(String).toSorted()).toEqual([...new Set(pids.map(String))].toSorted());
    expect(hooks.reserved.map(String).toSorted()).toEqual(pids.map(String).toSorted());
    await app.close();
    await database.drop();
  });

  itSince('@mikro-orm/core', ROW_LEVEL_SECURITY)(
    'has the settings of its session, and takes them with the first statement',
    async () => {
      const database = await createTestDatabase();
      const app = await start(database, { sessionContext: 'connection' });
      const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
      const read = (session: EntityManager): Promise<State[]> => session.execute<State[]>(STATE);
      const as = (tenant: string): object => ({ fork: { session: { variables: { 'app.tenant': tenant } } } });

      const states = [
        await factory.begin(read, as('a')),
        await factory.begin(read, as('b')),
        await factory.run(read),
        ...(await Promise.all(['c', 'd', 'e'].map((tenant) => factory.begin(read, as(tenant))))),
      ].flat();

      expect(states.map(({ tenant }) => tenant)).toEqual(['a', 'b', '', 'c', 'd', 'e']);
      await app.close();
      await database.drop();
    },
  );

  it('is closed when that fails, which is told at the first statement', async () => {
    const database = await createTestDatabase();
    let isBroken = false;
    const app = await start(database, {
      onReserveConnection: async () => {
        if (isBroken) {
          throw new Error('not today');
        }
      },
    });
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    const count = (session: EntityManager): Promise<number> => session.count(Note);

    isBroken = true;
    const all = Array.from({ length: POOL_SIZE + 1 });
    const ends = await Promise.allSettled([
      ...all.map(() => factory.begin(count)),
      ...all.map(() => factory.run(count)),
    ]);
    isBroken = false;

    expect(ends.map(({ status }) => status)).toEqual(ends.map(() => 'rejected'));
    expect(await Promise.all(Array.from({ length: POOL_SIZE }, () => factory.begin(count)))).toEqual([0, 0]);
    await app.close();
    await database.drop();
  });
});

const IDLE_IN_TRANSACTION = `select query from pg_stat_activity where datname = current_database() and state like 'idle in%'`;
