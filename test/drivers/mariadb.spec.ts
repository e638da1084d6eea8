import type { EntityManager } from '@mikro-orm/postgresql';
import {
  CommitUnknownError,
  ConnectionLostError,
  isTransientError,
  JobTimeoutError,
  SessionHealthIndicator,
  SessionStateError,
  TransactionAbortedError,
} from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { poll } from '../support/poll.js';
import { startCuttingProxy } from './support/cutting-proxy.js';
import { describeMariadb, type DriverApp, startDriverApp } from './support/driver-app.js';
import { startProxiedApp } from './support/proxied-app.js';

const SIZE = 2;

describeMariadb('on MariaDB and MySQL', () => {
  let app: DriverApp;

  beforeAll(async () => {
    app = await startDriverApp('mariadb', { orm: { pool: { min: 0, max: SIZE } } });
  });

  beforeEach(() =>
    app.database.query(`delete from note; insert into note (id, text, tenant) values (1, 'a', 'a'), (2, 'b', 'a')`),
  );

  afterEach(async () => {
    expect(app.registry.list()).toEqual([]);
    await Promise.all(Array.from({ length: SIZE * 2 }, () => app.factory.begin((session) => session.count(Note))));
  });

  afterAll(() => app.close());

  const update = (session: EntityManager, id: number, text: string): Promise<unknown> =>
    session.execute('update note set text = ? where id = ?', [text, id]);

  const threadOf = async (session: EntityManager): Promise<number> =>
    (await session.execute<[{ id: number }]>('select connection_id() as id'))[0].id;

  /** Lets two transactions lock one row each, and then want that of the other. */
  async function clash(
    then: (session: EntityManager, wanted: Promise<unknown>) => Promise<unknown>,
  ): Promise<PromiseSettledResult<unknown>[]> {
    let isMet = 0;
    const met = Promise.withResolvers<void>();
    const work = (own: number, other: number) => async (session: EntityManager) => {
      await session.execute(`insert into note (text, tenant) values ('first half of ${own}', 'a')`);
      await update(session, own, `${own}`);
      isMet += 1;
      if (isMet === 2) {
        met.resolve();
      }
      await met.promise;
      return then(session, update(session, other, `${own}`));
    };
    return Promise.allSettled([app.factory.begin(work(1, 2)), app.factory.begin(work(2, 1))]);
  }

  const reasonsOf = (outcomes: PromiseSettledResult<unknown>[]): unknown[] =>
    outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []));

  it('a deadlock that is caught ends its transaction: no second half of it is committed', async () => {
    const later: unknown[] = [];

    const outcomes = await clash(async (session, wanted) => {
      try {
        await wanted;
      } catch {
        await session
          .execute(`insert into note (text, tenant) values ('second half', 'a')`)
          .catch((error: unknown) => later.push(error));
      }
    });

    expect(later).toEqual([expect.any(TransactionAbortedError)]);
    const [reason] = reasonsOf(outcomes);
    expect(reasonsOf(outcomes)).toHaveLength(1);
    expect(reason).toBeInstanceOf(TransactionAbortedError);
    expect((reason as Error).cause).toMatchObject({ errno: 1213 });
    expect((await app.texts()).filter((text) => text.includes('half'))).toHaveLength(1);
  });

  it('a deadlock within a savepoint ends the whole transaction', async () => {
    const outcomes = await clash(async (session, wanted) => {
      // The row is wanted already: what is awaited here fails in a part of the transaction.
      await session.transactional(async () => wanted).catch(() => undefined);
      await session.execute(`insert into note (text, tenant) values ('second half', 'a')`);
    });

    expect(reasonsOf(outcomes)).toEqual([expect.any(TransactionAbortedError)]);
    expect(await app.texts()).toContain('second half');
    expect((await app.texts()).filter((text) => text.includes('half'))).toHaveLength(2);
  });

  it('a deadlock is transient, and a job that has one is done again', async () => {
    const errors: unknown[] = [];
    let isMet = 0;
    const met = Promise.withResolvers<void>();

    await app.jobs.map(
      [1, 2],
      async (session, own) => {
        await update(session, own, `${own}`);
        isMet += 1;
        if (isMet === 2) {
          met.resolve();
        }
        await met.promise;
        try {
          await update(session, 3 - own, `${own}`);
        } catch (error) {
          errors.push(error);
          throw error;
        }
      },
      { concurrency: 2, retry: { limit: 2 } },
    );

    expect(errors).toHaveLength(1);
    expect(isTransientError(errors[0])).toBe(true);
  });

  it('a lock that is not free in time is transient, and ends its statement alone', async () => {
    await app.factory.begin(async (session) => {
      await update(session, 1, 'held');

      await app.factory.begin(async (inner) => {
        await update(inner, 2, 'kept');
        const error = await inner
          .execute('set statement innodb_lock_wait_timeout = 1 for select * from note where id = 1 for update nowait')
          .catch((reason: unknown) => reason);
        expect(error).toMatchObject({ errno: 1205 });
        expect(isTransientError(error)).toBe(true);
      });
    });

    expect(await app.texts()).toEqual(['held', 'kept']);
  });

  it('a row that was changed since it was read ends the transaction that wants to change it', async () => {
    const lost = app.factory.begin(async (session) => {
      await session.execute('set session innodb_snapshot_isolation = on');
      await session.execute(`insert into note (text, tenant) values ('first half', 'a')`);
      await session.count(Note);
      await app.database.query(`update note set text = 'changed' where id = 1`);
      const error = await update(session, 1, 'mine').catch((reason: unknown) => reason);
      expect(error).toMatchObject({ errno: 1020 });
      expect(isTransientError(error)).toBe(true);
    });

    await expect(lost).rejects.toThrow(TransactionAbortedError);
    expect(await app.texts()).toEqual(['changed', 'b']);
  });

  it.each([
    'truncate note',
    'create table other (id int)',
    'ALTER TABLE note ADD other int',
    '/* so */ drop table note',
    'lock tables note write',
    'set autocommit = 0',
  ])('a statement that would commit its transaction is refused: %s', async (statement) => {
    const refused = app.factory.begin(async (session) => {
      await update(session, 1, 'lost');
      await session.execute(statement);
    });

    await expect(refused).rejects.toThrow('would commit the transaction');
    expect(await app.texts()).toEqual(['a', 'b']);
  });

  it('temporary tables and what comes outside of a transaction are not refused', async () => {
    await app.factory.begin(async (session) => {
      await session.execute('create temporary table passing (id int)');
      await session.execute('drop temporary table passing');
      await update(session, 1, 'kept');
    });
    await app.factory.run(async (session) => {
      await session.execute('create table lasting (id int)');
      await session.execute('drop table lasting');
    });

    expect(await app.texts()).toEqual(['kept', 'b']);
  });

  it('a procedure that commits is found out', async () => {
    await app.database.query('create or replace procedure commits() commit');

    const ended = app.factory.begin(async (session) => {
      await update(session, 1, 'committed by the procedure');
      await session.execute('call commits()').catch(() => undefined);
      await update(session, 2, 'lost');
    });

    await expect(ended).rejects.toThrow(SessionStateError);
    expect(await app.texts()).toEqual(['committed by the procedure', 'b']);
  });

  it('a procedure that commits and then fails is found out', async () => {
    await app.database.query(`create or replace procedure commits_and_fails()
      begin commit; signal sqlstate '45000' set message_text = 'on purpose'; end`);

    const ended = app.factory.begin(async (session) => {
      await update(session, 1, 'committed by the procedure');
      const error: unknown = await session.execute('call commits_and_fails()').catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(SessionStateError);
      expect(error).toMatchObject({ cause: { sqlState: '45000' } });
      await update(session, 2, 'lost');
    });

    await expect(ended).rejects.toThrow(SessionStateError);
    expect(await app.texts()).toEqual(['committed by the procedure', 'b']);
  });

  it('a procedure that fails with a transaction of its own leaves nothing to the next session', async () => {
    await app.database.query(`create or replace procedure begins_and_fails()
      begin start transaction; insert into note (text, tenant) values ('half', 'a');
      signal sqlstate '45000' set message_text = 'on purpose'; end`);

    for (let count = 0; count < SIZE; count += 1) {
      await expect(app.factory.run((session) => session.execute('call begins_and_fails()'))).rejects.toThrow(
        'A transaction was left open',
      );
    }
    await Promise.all(Array.from({ length: SIZE }, () => app.factory.begin((session) => session.count(Note))));

    expect(await app.texts()).toEqual(['a', 'b']);
  });

  it.each([0, 1, 2, 3])('a column named serverStatus, with %i, says nothing of the transaction', async (status) => {
    const answer = [{ serverStatus: status }];

    const within = await app.factory.begin((session) => session.execute('select ? as serverStatus', [status]));
    const outside = await app.factory.run((session) => session.execute('select ? as serverStatus', [status]));
    const failed = app.factory.run((session) =>
      session
        .getKysely<{ note: { text: string; tenant: string } }>()
        .transaction()
        .execute(async (transaction) => {
          await transaction.insertInto('note').values({ text: 'lost', tenant: 'a' }).execute();
          await transaction.selectNoFrom((eb) => eb.val(status).as('serverStatus')).execute();
          throw new Error('on purpose');
        }),
    );

    await expect(failed).rejects.toThrow('on purpose');
    expect([within, outside]).toEqual([answer, answer]);
    expect(await app.texts()).toEqual(['a', 'b']);
  });

  it('connections that are first opened together are all followed', async () => {
    const other = await startDriverApp('mariadb', { orm: { ensureDatabase: false, pool: { min: 0, max: SIZE } } });
    try {
      await (other.orm as unknown as { reconnect(options: object): Promise<void> }).reconnect({ skipOnConnect: true });
      await Promise.all(
        Array.from({ length: SIZE }, () => other.factory.run((session) => session.execute(`set @tenant = 'a'`))),
      );

      const seen = await Promise.all(
        Array.from({ length: SIZE }, () => other.factory.run((session) => session.execute('select @tenant as tenant'))),
      );
      expect(seen.flat()).toEqual(Array.from({ length: SIZE }, () => ({ tenant: null })));
    } finally {
      await other.close();
    }
  });

  it('settings of a session do not meet the next one', async () => {
    const changing = [
      `set @tenant = 'a'`,
      'set session sql_safe_updates = 1',
      'create temporary table mine (id int)',
      `select get_lock('mine', 0)`,
    ];
    for (const statement of changing) {
      await app.factory.run((session) => session.execute(statement));
    }
    await poll('the server has ended the connection with the lock', async () => {
      const [row] = await app.database.query<{ isFree: number }>(`select is_free_lock('mine') as isFree`);
      return row?.isFree === 1;
    });

    const seen = await Promise.all(
      Array.from({ length: SIZE }, () =>
        app.factory.begin((session) =>
          session.execute(`select @tenant as tenant, @@sql_safe_updates as safe, is_free_lock('mine') as isFree`),
        ),
      ),
    );
    expect(seen.flat()).toEqual(Array.from({ length: SIZE }, () => ({ tenant: null, safe: 0, isFree: 1 })));
  });

  it('an isolation level that is not known costs no connection', async () => {
    for (let count = 0; count <= SIZE; count += 1) {
      const begun = app.orm.em.fork().begin({ isolationLevel: 'snapshot' as never });
      await expect(begun).rejects.toThrow('SQL syntax');
    }
  });

  it('the time-out of a job ends the statement that it waits for', async () => {
    const [outcome] = await app.jobs.settle(
      [1],
      async (session) => {
        await update(session, 1, 'lost');
        await session.execute('select sleep(60)');
      },
      { timeout: 100 },
    );

    expect(outcome).toMatchObject({ status: 'rejected', reason: expect.any(JobTimeoutError) });
    await poll('no statement runs', async () => {
      const [row] = await app.database.query<{ n: number }>(
        `select count(*) as n from information_schema.processlist where info like 'select sleep%' and db = database()`,
      );
      return row?.n === 0;
    });
    expect(await app.texts()).toEqual(['a', 'b']);
  });

  it('a connection that is killed leaves the pool, and its transaction says so', async () => {
    const errors: unknown[] = [];

    const lost = app.factory.begin(async (session) => {
      await update(session, 1, 'lost');
      await app.database.query(`kill ${await threadOf(session)}`);
      for (let count = 0; count < 2; count += 1) {
        await session.execute('select 1').catch((error: unknown) => errors.push(error));
      }
    });

    await expect(lost).rejects.toThrow(ConnectionLostError);
    expect(errors.every((error) => isTransientError(error))).toBe(true);
    expect(errors[1]).toBeInstanceOf(ConnectionLostError);
    expect(await app.texts()).toEqual(['a', 'b']);
  });

  it('a job whose connection is killed while a statement runs is done again', async () => {
    const errors: unknown[] = [];

    const [text] = await app.jobs.map(
      [1],
      async (session) => {
        if (errors.length > 0) {
          return 'done';
        }
        const id = await threadOf(session);
        const running = session.execute('select sleep(60)').catch((error: unknown) => {
          errors.push(error);
          throw error;
        });
        await poll('it runs', async () => {
          const [row] = await app.database.query<{ n: number }>(
            `select count(*) as n from information_schema.processlist where id = ${id} and info like 'select sleep%'`,
          );
          return row?.n === 1;
        });
        await app.database.query(`kill ${id}`);
        await running;
        return 'not killed';
      },
      { retry: { limit: 1 } },
    );

    expect(text).toBe('done');
    expect(errors.map((error) => isTransientError(error))).toEqual([true]);
  });

  it('a health check that gets no answer gives its connection back', async () => {
    const other = await startProxiedApp({ pool: { min: 0, max: 1 } });
    try {
      await other.factory.run((session) => session.count(Note));
      other.proxy.isSilent = true;

      const { sessions } = await other
        .get<SessionHealthIndicator>(SessionHealthIndicator)
        .check('sessions', { timeout: 50 });
      other.proxy.isSilent = false;

      expect(sessions).toMatchObject({ status: 'down' });
      expect(await other.factory.run((session) => session.count(Note))).toBe(0);
    } finally {
      await other.close();
    }
  });

  it.each([
    ['a text', 'no tenant'],
    ['a number', 7],
    ['an error that nobody may change', Object.freeze(new Error('no tenant'))],
  ])('a hook that throws %s ends the connection alone', async (_what, thrown) => {
    const other = await startDriverApp('mariadb', { orm: { pool: { min: 0, max: 1 } } });
    try {
      let isFailing = true;
      other.orm.config.set('onReserveConnection', async () => {
        if (isFailing) {
          throw thrown;
        }
      });
      await (other.orm as unknown as { reconnect(): Promise<void> }).reconnect().catch(() => undefined);

      await expect(other.factory.run((session) => session.count(Note))).rejects.toBeDefined();
      isFailing = false;

      expect(await other.factory.run((session) => session.count(Note))).toBe(0);
    } finally {
      await other.close();
    }
  });

  it.each([true, false])('a commit whose answer is lost is unknown (the server heard it: %s)', async (isHeard) => {
    await using proxy = await startCuttingProxy(new URL(app.database.url));
    const url = new URL(app.database.url);
    url.port = String(proxy.port);
    const other = await startDriverApp('mariadb', { orm: { clientUrl: url.href } });
    try {
      const { jobs } = other;
      const attempts: number[] = [];

      const [outcome] = await jobs.settle(
        [1],
        async (session, input) => {
          attempts.push(input);
          await session.execute(`insert into note (text, tenant) values ('perhaps', 'a')`);
          proxy.cut = { word: 'commit', isHeard };
        },
        { retry: { limit: 2 } },
      );

      expect(outcome).toMatchObject({ status: 'rejected', reason: expect.any(CommitUnknownError) });
      expect(attempts).toEqual([1]);
      await poll('it is known', async () => (await app.texts()).length === (isHeard ? 1 : 0));
    } finally {
      await other.close();
    }
  });

  it('a network that swallows everything keeps neither a job with a time-out nor the application waiting', async () => {
    await using proxy = await startCuttingProxy(new URL(app.database.url));
    const url = new URL(app.database.url);
    url.port = String(proxy.port);
    const other = await startDriverApp('mariadb', { orm: { clientUrl: url.href, pool: { min: 0, max: 1 } } });

    const [outcome] = await other.jobs.settle(
      [1],
      async (session) => {
        await session.count(Note);
        proxy.isSilent = true;
        await session.count(Note);
      },
      { timeout: 100 },
    );
    expect(outcome).toMatchObject({ reason: expect.any(JobTimeoutError) });

    proxy.isSilent = false;
    await poll('the connection is free again', async () => other.registry.list().length === 0);
    expect(await other.factory.begin((session) => session.count(Note))).toBe(0);

    const isSent = Promise.withResolvers<void>();
    const lost = other.factory.begin(async (session) => {
      await session.count(Note);
      proxy.isSilent = true;
      setTimeout(isSent.resolve);
      await session.count(Note);
    });
    await isSent.promise;
    await Promise.all([expect(lost).rejects.toThrow('its pool was closed'), other.app.close()]);
    await other.database.drop();
  });

  it('a hook that fails costs no connection', async () => {
    const other = await startDriverApp('mariadb', { orm: { pool: { min: 0, max: 1 } } });
    try {
      let isFailing = true;
      other.orm.config.set('onReserveConnection', async () => {
        if (isFailing) {
          throw new Error('no');
        }
      });
      await (other.orm as unknown as { reconnect(): Promise<void> }).reconnect().catch(() => undefined);

      await expect(other.factory.begin((session) => session.count(Note))).rejects.toThrow('no');
      await expect(other.factory.run((session) => session.count(Note))).rejects.toThrow('no');
      isFailing = false;

      expect(await other.factory.begin((session) => session.count(Note))).toBe(0);
    } finally {
      await other.close();
    }
  });

  it('closes while a statement runs', async () => {
    const other = await startDriverApp('mariadb');
    const running = other.factory.run((session) => session.execute('select sleep(60)'));
    running.catch(() => undefined);
    await poll('it runs', async () => {
      const [row] = await other.database.query<{ n: number }>(
        `select count(*) as n from information_schema.processlist where info like 'select sleep%' and db = database()`,
      );
      return row?.n === 1;
    });

    await other.app.close();

    await expect(running).rejects.toThrow('its pool was closed');
    await other.database.drop();
  });
});
