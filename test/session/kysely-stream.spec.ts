import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService, SessionFactory, SessionRegistry } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { useTestApp } from '../support/use-test-app.js';

/** More than two reads of a stream. */
const ROWS = 250;

interface Tables {
  note: { id: number; text: string };
  trap: { n: number };
}

type Work = (session: EntityManager) => Promise<unknown>;

describe('a stream of Kysely in a transaction', () => {
  let factory: SessionFactory<EntityManager>;
  let jobs: JobService<EntityManager>;

  const { app, database } = useTestApp({ orm: { pool: { min: 0, max: 1 } } });

  beforeAll(() => {
    factory = app.get(SessionFactory);
    jobs = app.get(JobService);
  });

  beforeEach(() => database.query(`insert into note (text) select 'x' from generate_series(1, ${ROWS})`));

  afterEach(async () => {
    expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
    await database.query('delete from note');
  });

  const count = async (text: string): Promise<number | undefined> =>
    (await database.query<{ n: number }>('select count(*)::int as n from note where text = $1', [text]))[0]?.n;

  const notes = (session: EntityManager) => session.getKysely<Tables>().selectFrom('note').selectAll();

  const ways: Record<string, (work: Work) => Promise<unknown>> = {
    'begin()': (work) => factory.begin(work),
    'transactional()': (work) => factory.run((session) => session.transactional(work)),
    'a savepoint': (work) => factory.begin((session) => session.transactional(work)),
    'a transaction begun by hand': (work) =>
      factory.run(async (session) => {
        await session.begin();
        await work(session);
        await session.commit();
      }),
    'a job': (work) => jobs.map([1], async (session) => void (await work(session))),
    'a job with a time-out': (work) =>
      jobs.map([1], async (session) => void (await work(session)), { timeout: 20_000 }),
  };

  const streams: Record<string, (session: EntityManager) => AsyncIterable<{ readonly text: string }>> = {
    'no options': (session) => notes(session).where('text', '=', 'x').stream(),
    'names of entities': (session) =>
      session
        .getKysely<{ Note: Tables['note'] }>({ tableNamingStrategy: 'entity', columnNamingStrategy: 'property' })
        .selectFrom('Note')
        .selectAll()
        .where('text', '=', 'x')
        .stream(),
    'a schema': (session) =>
      session.getKysely<Tables>().withSchema('public').selectFrom('note').selectAll().where('text', '=', 'x').stream(),
    'a signal': (session) =>
      notes(session).where('text', '=', 'x').stream({ chunkSize: 100, signal: new AbortController().signal }),
  };

  const uses: Record<string, Work> = {
    find: (session) => session.find(Note, { text: 'x' }, { limit: 1 }),
    'a query of Kysely': (session) => notes(session).limit(1).execute(),
    'a query of Kysely with a signal': (session) =>
      notes(session).limit(1).execute({ signal: new AbortController().signal }),
    flush: async (session) => {
      session.create(Note, { text: 'new' });
      await session.flush();
    },
    'a savepoint that is rolled back': async (session) => {
      const failing = session.transactional(async (inner) => {
        await inner.execute(`insert into note (text) values ('lost')`);
        throw new Error('told to fail');
      });
      await failing.catch(() => undefined);
    },
    'another stream': async (session) => {
      for await (const _row of notes(session).stream()) {
        break;
      }
    },
    'a stream of the session': (session) => Array.fromAsync(session.stream(Note, { where: { text: 'x' }, limit: 101 })),
  };

  const readWith =
    (open: (session: EntityManager) => AsyncIterable<{ readonly text: string }>, use: Work) =>
    async (session: EntityManager): Promise<void> => {
      let rows = 0;
      for await (const { text } of open(session)) {
        rows += Number(text === 'x');
        if (rows % 100 === 1) {
          await use(session);
        }
      }
      await session.execute('insert into note (text) values (?)', [`read ${rows}`]);
    };

  it.each(Object.entries(uses))('lets its reader use the session between two rows: %s', async (_name, use) => {
    await factory.begin(readWith((session) => notes(session).where('text', '=', 'x').stream(), use));

    expect(await count(`read ${ROWS}`)).toBe(1);
    expect(await count('lost')).toBe(0);
  });

  it.each(
    Object.entries(ways).flatMap(([way, run]) =>
      Object.entries(streams).map(([name, open]) => [way, name, run, open] as const),
    ),
  )('is the first statement of its transaction, in %s, with %s', async (_way, _name, run, open) => {
    await run(readWith(open, (session) => session.execute(`insert into note (text) values ('new')`)));

    expect(await count(`read ${ROWS}`)).toBe(1);
    expect(await count('new')).toBe(3);
  });

  it('is rolled back with what its reader did', async () => {
    const failing = factory.begin(async (session) => {
      for await (const _row of notes(session).stream()) {
        await session.execute(`insert into note (text) values ('lost')`);
        throw new Error('told to fail');
      }
    });

    await expect(failing).rejects.toThrow('told to fail');
    expect(await count('lost')).toBe(0);
  });

  it('gives what its query gives, whatever its plugins make of it', async () => {
    const plugin = {
      transformQuery: ({ node }: { node: never }) => node,
      transformResult: async ({ result }: { result: { rows: Tables['note'][] } }) => ({
        ...result,
        rows: result.rows.map(({ id, text }) => ({ id, text: `${text} of ${id}` })),
      }),
    };

    await factory.begin(async (session) => {
      const query = session
        .getKysely<Tables>()
        .withPlugin(plugin as never)
        .selectFrom('note')
        .selectAll()
        .orderBy('id');

      expect(await Array.fromAsync(query.stream())).toEqual(await query.execute());
      expect((await query.execute())[0]?.text).toMatch(/^x of \d+$/);
    });
  });

  it('leaves nothing on the server when its reader leaves', async () => {
    await factory.begin(async (session) => {
      for await (const _row of notes(session).stream()) {
        break;
      }

      expect(await session.execute('select name from pg_cursors')).toEqual([]);
      await session.execute('truncate note');
    });

    expect(await count('x')).toBe(0);
  });

  describe('with a signal', () => {
    beforeAll(() =>
      // The third read waits.
      database.query(`create view trap as select n from generate_series(1, 300) as n
        where case n when 250 then pg_sleep(0.3) is not null else true end`),
    );

    it('ends with it between two rows, and its transaction goes on', async () => {
      const aborting = new AbortController();

      await factory.begin(async (session) => {
        const reading = (async () => {
          for await (const _row of notes(session).stream({ chunkSize: 1, signal: aborting.signal })) {
            await session.execute(`insert into note (text) values ('new')`);
            aborting.abort(new Error('enough'));
          }
        })();

        await expect(reading).rejects.toThrow('enough');
        expect(await session.execute('select name from pg_cursors')).toEqual([]);
      });

      expect(await count('new')).toBe(1);
    });

    it('ends with it during a read, after which its transaction goes on', async () => {
      const aborting = new AbortController();

      await factory.begin(async (session) => {
        const rows = session.getKysely<Tables>().selectFrom('trap').selectAll();
        let read = 0;
        const reading = (async () => {
          for await (const _row of rows.stream({ chunkSize: 100, signal: aborting.signal })) {
            read += 1;
            if (read === 200) {
              setImmediate(() => aborting.abort(new Error('enough')));
            }
          }
        })();

        await expect(reading).rejects.toThrow('enough');
        await session.execute(`insert into note (text) values ('new')`);
        expect(await session.execute('select name from pg_cursors')).toEqual([]);
      });

      expect(await count('new')).toBe(1);
    });

    it('does not begin when that is aborted already', async () => {
      await factory.begin(async (session) => {
        const rows = notes(session).stream({ chunkSize: 100, signal: AbortSignal.abort(new Error('enough')) });

        await expect(rows.next()).rejects.toThrow('enough');
        await session.execute(`insert into note (text) values ('new')`);
      });

      expect(await count('new')).toBe(1);
    });
  });

  it.each([
    ['commit', 'SESSION_STATE'],
    ['rollback', undefined],
  ] as const)('that is half read lets its transaction end, by %s', async (end, code) => {
    const outcome = await factory.run(async (session) => {
      await session.begin();
      const rows = notes(session).stream();
      await rows.next();
      await session.execute(`insert into note (text) values ('new')`);

      const ended = await session[end]().catch((error: unknown) => error);
      expect((await Array.fromAsync(rows)).length).toBeLessThan(ROWS);
      return ended;
    });

    expect((outcome as { readonly code?: string } | undefined)?.code).toBe(code);
    expect(await count('new')).toBe(0);
  });

  it('that is half read fails the savepoint that it is of, and not the transaction around that', async () => {
    await factory.begin(async (session) => {
      const rows = notes(session).stream();
      await rows.next();

      const failing = session.transactional(async (inner) => {
        await inner.execute(`insert into note (text) values ('lost')`);
        await notes(inner).stream().next();
      });

      await expect(failing).rejects.toMatchObject({ code: 'SESSION_STATE' });
      await session.execute(`insert into note (text) values ('new')`);
      expect(await Array.fromAsync(rows)).toHaveLength(ROWS - 1);
    });

    expect(await count('lost')).toBe(0);
    expect(await count('new')).toBe(1);
  });

  it('does not begin after the end of its transaction', async () => {
    await factory.run(async (session) => {
      await session.begin();
      const rows = notes(session).stream();
      await session.commit();

      await expect(rows.next()).rejects.toThrow('Transaction is already committed');
    });
  });

  it('fails with the error of the server, and takes its transaction with it', async () => {
    await database.query('create view fraction as select 1 / (249 - row_number() over ()) as n from note');

    const failing = factory.begin(async (session) => {
      await session.execute(`insert into note (text) values ('lost')`);
      for await (const _row of session
        .getKysely<{ fraction: { n: number } }>()
        .selectFrom('fraction')
        .selectAll()
        .stream()) {
        await session.execute('select 1');
      }
    });

    await expect(failing).rejects.toMatchObject({ code: '22012' });
    expect(await count('lost')).toBe(0);
  });

  it('ends with the time-out of its job, whose loop it was read in', async () => {
    const [outcome] = await jobs.settle(
      [1],
      async (session) => {
        for await (const _row of notes(session).stream({ chunkSize: 1 })) {
          await session.execute('select pg_sleep(0.01)');
        }
      },
      { timeout: 200 },
    );

    expect(outcome).toMatchObject({ status: 'rejected', ending: 'timeout' });
    expect(await factory.begin((session) => session.count(Note))).toBe(ROWS);
  });
});
