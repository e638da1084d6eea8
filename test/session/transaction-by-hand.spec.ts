import { type EntityManager, raw } from '@mikro-orm/postgresql';
import { JobService, SessionFactory, SessionStateError, TransactionAbortedError } from 'nestjs-mikro-session';

import { findTexts } from '../support/find-texts.js';
import { Note } from '../support/note.entity.js';
import { useTestApp } from '../support/use-test-app.js';

const POOL_SIZE = 2;

describe('a transaction that is begun or ended by a statement', () => {
  let factory: SessionFactory<EntityManager>;

  const { app, database } = useTestApp({ orm: { pool: { min: 0, max: POOL_SIZE } } });

  beforeAll(() => {
    factory = app.get(SessionFactory);
  });

  afterEach(() => database.query('delete from note'));

  const texts = (): Promise<string[]> => findTexts(database);

  const statuses = async (): Promise<string[]> =>
    (
      await database.query<{ state: string }>(
        `select state from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
         and state like '%in transaction%'`,
      )
    ).map(({ state }) => state);

  const ends = [
    'commit',
    'COMMIT;',
    ' Commit Work',
    'end',
    'END TRANSACTION',
    '-- done\ncommit',
    '/* done */ commit',
    '/* a /* nested */ comment */ commit',
    ';commit',
    'rollback',
    'ROLLBACK WORK',
    'abort',
    'commit and chain',
    'rollback and chain',
    "prepare transaction 'x'",
    'begin',
    'BEGIN ISOLATION LEVEL serializable',
    'start transaction',
    "insert into note (text) values ('between'); commit",
    "insert into note (text) values ('a;b'); commit; insert into note (text) values ('after')",
    "insert into note (text) values ('between'); /* x */ commit",
    'select 1; /* x */ commit; begin',
    'select 1; /* x */ rollback; begin',
  ];

  it.each(ends)('is refused within the transaction of a session: %j', async (sql) => {
    const work = factory.begin(async (session) => {
      await session.insert(Note, { text: 'before' });
      await session.execute(sql);
      await session.insert(Note, { text: 'after' });
    });

    await expect(work).rejects.toThrow(SessionStateError);

    expect(await texts()).not.toContain('after');
    expect(await statuses()).toEqual([]);
  });

  it.each(ends)('is refused when it is the last statement, and caught: %j', async (sql) => {
    const work = factory.begin(async (session) => {
      await session.insert(Note, { text: 'before' });
      await session.execute(sql).catch(() => undefined);
    });

    const end = await work.then(
      () => 'committed',
      (error: unknown) => error,
    );

    // Where the statement was not sent, the transaction went on.
    expect(end === 'committed' || end instanceof SessionStateError).toBe(true);
    expect(end === 'committed' ? await texts() : []).toEqual(end === 'committed' ? ['before'] : []);
    expect(await statuses()).toEqual([]);
  });

  it('is refused by an error that names the session and what to do', async () => {
    const work = factory.begin((session) => session.execute('commit'), { label: 'the import' });

    await expect(work).rejects.toThrow(
      'The statement "commit" was refused: it would end the transaction of "the import", which is ended by the block ' +
        'or call that began it.',
    );
  });

  it.each([
    ['a query builder', (em: EntityManager) => em.createQueryBuilder(Note).select(raw('1; commit')).execute()],
    ['Kysely', (em: EntityManager) => em.getKysely().executeQuery(compiled('commit'))],
    ['transactional()', (em: EntityManager) => em.transactional((inner) => inner.execute('rollback'))],
    ['a savepoint', (em: EntityManager) => em.transactional(() => em.execute('rollback to savepoint trx1'))],
    ['a released savepoint', (em: EntityManager) => em.transactional(() => em.execute('release trx1'))],
  ])('is refused through %s', async (_name, send) => {
    const work = factory.begin(async (session) => {
      await session.insert(Note, { text: 'before' });
      await send(session);
    });

    await expect(work).rejects.toThrow(SessionStateError);
    expect(await texts()).toEqual([]);
  });

  it.each([
    'savepoint mine; rollback to savepoint mine; release mine',
    'set local statement_timeout = 1000',
    "insert into note (text) values ('; commit')",
    "insert into note (text) values ('it''s; commit; end')",
    'select $$; commit$$, $x$; rollback $x$',
    'do $$ begin perform 1; end $$',
    "create function pg_temp.two() returns int language plpgsql as 'begin return 2; end'",
    'create function pg_temp.three() returns int begin atomic select 1; select 3; end',
    '-- ; commit',
    'select 1 as "end"; select 2 as begin',
  ])('is told apart from %j', async (sql) => {
    await factory.begin(async (session) => {
      await session.insert(Note, { text: 'before' });
      await session.execute(sql);
    });

    expect(await texts()).toContain('before');
  });

  it.each(['begin', 'START TRANSACTION', 'begin; select 1', "insert into note (text) values ('x'); /**/ begin"])(
    'is refused outside of a transaction, and does not reach the next session: %j',
    async (sql) => {
      const work = factory.run((session) => session.execute(sql));

      await expect(work).rejects.toThrow(SessionStateError);

      for (let i = 0; i < POOL_SIZE; i += 1) {
        await factory.run((session) => session.insert(Note, { text: `${i}` }));
      }
      expect((await texts()).filter((text) => text !== 'x')).toEqual(['0', '1']);
      expect(await statuses()).toEqual([]);
    },
  );

  it('does not reach the next session either when Kysely is told to begin it', async () => {
    await expect(factory.run((session) => session.getKysely().executeQuery(compiled('begin')))).rejects.toThrow(
      SessionStateError,
    );

    await factory.run((session) => session.insert(Note, { text: 'kept' }));

    expect(await texts()).toEqual(['kept']);
    expect(await statuses()).toEqual([]);
  });

  it('is told to a job with a time-out too', async () => {
    const jobs = app.get<JobService<EntityManager>>(JobService);

    const outcomes = await jobs.settle(
      ["begin; insert into note (text) values ('lost')"],
      async (session, sql) => void (await session.execute(sql)),
      { transaction: 'none', timeout: 20_000 },
    );

    expect(outcomes).toMatchObject([{ status: 'rejected', reason: expect.any(SessionStateError) }]);
  });

  it('may be begun and ended in one text, outside of a transaction', async () => {
    await factory.run((session) => session.execute(`begin; insert into note (text) values ('kept'); commit`));

    expect(await texts()).toEqual(['kept']);
  });

  it('is what Kysely does in its own transactions', async () => {
    await factory.run((session) =>
      session
        .getKysely()
        .transaction()
        .setIsolationLevel('serializable')
        .execute((transaction) => transaction.executeQuery(compiled(`insert into note (text) values ('kept')`))),
    );

    expect(await texts()).toEqual(['kept']);
  });

  it.each(['commit', ' COMMIT ;', 'End Work'])('tells that Kysely has committed what had failed: %j', async (sql) => {
    const work = factory.run((session) =>
      session
        .getKysely()
        .connection()
        .execute(async (connection) => {
          await connection.executeQuery(compiled('begin'));
          await connection.executeQuery(compiled('select 1 / 0')).catch(() => undefined);
          await connection.executeQuery(compiled(sql));
        }),
    );

    await expect(work).rejects.toThrow(TransactionAbortedError);
  });
});

function compiled(sql: string): never {
  return { sql, parameters: [], query: { kind: 'RawNode' }, queryId: { queryId: sql } } as never;
}
