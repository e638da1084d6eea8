import type { EntityManager, Kysely } from '@mikro-orm/postgresql';
import { JobService, SessionFactory, SessionRegistry } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { useTestApp } from '../support/use-test-app.js';

/** More than two reads of a stream. */
const ROWS = 250;

interface Tables {
  note: { id: number; text: string };
}

const selectNotes = (kysely: ReturnType<EntityManager['getKysely']>) =>
  (kysely as unknown as Kysely<Tables>).selectFrom('note').selectAll();

describe('a stream in a transaction', () => {
  let factory: SessionFactory<EntityManager>;

  const { app, database } = useTestApp({ orm: { pool: { min: 0, max: 1 } } });

  beforeAll(() => {
    factory = app.get(SessionFactory);
  });

  beforeEach(() => database.query(`insert into note (text) select 'x' from generate_series(1, ${ROWS})`));

  afterEach(async () => {
    expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
    await database.query('delete from note');
  });

  const count = async (text: string): Promise<number | undefined> =>
    (await database.query<{ n: number }>('select count(*)::int as n from note where text = $1', [text]))[0]?.n;

  const uses: Record<string, (session: EntityManager) => Promise<unknown>> = {
    find: (session) => session.find(Note, { text: 'x' }, { limit: 1 }),
    execute: (session) => session.execute('select 1'),
    'a statement with parameters': (session) => selectNotes(session.getKysely()).where('text', '=', 'x').execute(),
    flush: async (session) => {
      session.create(Note, { text: 'new' });
      await session.flush();
    },
    'a savepoint': (session) => session.transactional(() => session.execute('select 1')),
    'a savepoint that is rolled back': async (session) => {
      const failing = session.transactional(async () => {
        await session.execute(`insert into note (text) values ('lost')`);
        throw new Error('told to fail');
      });
      await failing.catch(() => undefined);
    },
    'another stream': async (session) => {
      for await (const _row of session.stream(Note)) {
        break;
      }
    },
    'a stream that is read': (session) => Array.fromAsync(session.stream(Note, { where: { text: 'x' }, limit: 101 })),
  };

  it.each(
    Object.entries(uses).flatMap(([name, use]) => [
      [name, 'begin', use] as const,
      [name, 'transactional', use] as const,
    ]),
  )('lets its reader use the session between two rows: %s, in %s()', async (_name, kind, use) => {
    const work = async (session: EntityManager): Promise<number> => {
      let rows = 0;
      for await (const { text } of session.stream(Note, { where: { text: 'x' } })) {
        rows += Number(text === 'x');
        if (rows % 100 === 1) {
          await use(session);
        }
      }
      return rows;
    };

    const reading = kind === 'begin' ? factory.begin(work) : factory.run((session) => session.transactional(work));

    expect(await reading).toBe(ROWS);
    expect(await count('lost')).toBe(0);
  });

  it('sees the rows that were there when it began', async () => {
    const rows = await factory.begin(async (session) => {
      let read = 0;
      for await (const _row of session.stream(Note)) {
        read += 1;
        await session.execute(`insert into note (text) values ('new')`);
      }
      return read;
    });

    expect(rows).toBe(ROWS);
    expect(await count('new')).toBe(ROWS);
  });

  it('gives the values that a query gives', async () => {
    const sql = `select 1::int8 as big, date '2020-01-02' as day, now() as moment, array[1, 2] as list, null as nothing,
      '{"a":[1]}'::jsonb as json, true as yes, 1.50::numeric as price, '\\x01'::bytea as bytes, interval '1 day' as pause`;

    await factory.begin(async (session) => {
      const streamed = session.getConnection().stream(sql, [], session.getTransactionContext());

      expect(await Array.fromAsync(streamed)).toEqual(await session.execute(sql));
    });
  });

  it('leaves nothing on the server when its reader leaves', async () => {
    await factory.begin(async (session) => {
      for await (const _row of session.stream(Note)) {
        break;
      }

      expect(await session.execute('select name from pg_cursors')).toEqual([]);
      await session.execute('truncate note');
    });
  });

  it.each<[string, string, string]>([
    ['before its first row', '"no such column"', '42703'],
    ['after some rows', '1 / (249 - row_number() over ())', '22012'],
  ])('fails with the error of the server, %s', async (_when, column, code) => {
    const sql = `select ${column} from note`;

    const failing = factory.begin(async (session) => {
      await session.execute(`insert into note (text) values ('lost')`);
      await Array.fromAsync(session.getConnection().stream(sql, [], session.getTransactionContext()));
    });

    await expect(failing).rejects.toMatchObject({ code });
    expect(await count('lost')).toBe(0);
  });

  it.each([
    ['commit', 'SESSION_STATE'],
    ['rollback', undefined],
  ] as const)('of a query builder that is half read lets it end, by %s', async (end, code) => {
    const outcome = await factory.run(async (session) => {
      await session.begin();
      await session.createQueryBuilder(Note).stream().next();
      await session.execute(`insert into note (text) values ('new')`);

      return session[end]().catch((error: unknown) => error);
    });

    expect((outcome as { readonly code?: string } | undefined)?.code).toBe(code);
    expect(await count('new')).toBe(0);
  });

  it.each(['commit', 'rollback'] as const)('of the driver is not read on after its end, by %s', async (end) => {
    await factory.run(async (session) => {
      await session.begin();
      const connection = session.getDriver().getConnection();
      const rows = connection.stream('select text from note', [], session.getTransactionContext());
      await rows.next();
      await session[end]();
      // The pool has one connection: the next transaction runs on the same.
      await session.begin();
      await session.execute(`insert into note (text) values ('new')`);

      await expect(Array.fromAsync(rows)).rejects.toMatchObject({
        code: 'SESSION_STATE',
        message: expect.stringContaining('was read after the end of its transaction'),
      });
      await session.commit();
    });

    expect(await count('new')).toBe(1);
  });

  it('does not begin after the end of that', async () => {
    await factory.run(async (session) => {
      await session.begin();
      const ended = session.getTransactionContext();
      await session.commit();
      await session.begin();

      const late = Array.fromAsync(session.getDriver().getConnection().stream('select 1', [], ended));

      await expect(late).rejects.toThrow('was read after the end of its transaction');
      await session.commit();
    });
  });

  it('ends with the time-out of its job', async () => {
    const [outcome] = await app.get<JobService<EntityManager>>(JobService).settle(
      [1],
      async (session) => {
        const sql = 'select pg_sleep(case n when 150 then 2 else 0 end) from generate_series(1, 300) as n';
        await Array.fromAsync(session.getConnection().stream(sql, [], session.getTransactionContext()));
      },
      { timeout: 300 },
    );

    expect(outcome).toMatchObject({ status: 'rejected', ending: 'timeout' });
    expect(await factory.begin((session) => session.count(Note))).toBe(ROWS);
  });
});
