import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';

import type { EntityManager, EventSubscriber } from '@mikro-orm/postgresql';
import { Controller, Get, Injectable, Post } from '@nestjs/common';
import {
  ConcurrentSessionUseError,
  EntityOwnershipError,
  InjectSession,
  SessionClosedError,
  SessionOwnershipError,
  SessionPoolDeadlockError,
  SessionStateError,
} from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { type DriverApp, otherDrivers, startDriverApp } from './support/driver-app.js';

@Injectable()
class Writer {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  write(text: string): Note {
    return this.session.create(Note, { text });
  }
}

@Controller()
class NotesController {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly writer: Writer,
  ) {}

  @Get()
  async count(): Promise<number> {
    return this.session.count(Note);
  }

  @Post()
  write(): void {
    this.writer.write('of a request');
  }
}

describe.each(otherDrivers)('on %s', (driver) => {
  let app: DriverApp;
  /** As many connections as there are. */
  const size = driver === 'sqlite' ? 1 : 2;

  beforeAll(async () => {
    app = await startDriverApp(driver, {
      orm: { pool: { min: 0, max: 2 } },
      session: { http: { transaction: true } },
      controllers: [NotesController],
      providers: [Writer],
    });
  });

  beforeEach(() => app.database.query('delete from note'));

  afterEach(() => {
    expect(app.registry.list()).toEqual([]);
  });

  afterAll(() => app.close());

  async function write(session: EntityManager, text: string): Promise<Note> {
    const note = session.create(Note, { text });
    await session.flush();
    return note;
  }

  /** Whether all connections can be had. */
  const hold = (): Promise<unknown> =>
    Promise.all(Array.from({ length: size * 2 }, () => app.factory.begin((session) => session.count(Note))));

  it('a request is a unit of work, and its providers share its session', async () => {
    expect((await fetch(app.url, { method: 'POST' })).status).toBe(201);
    expect(await (await fetch(app.url)).text()).toBe('1');
    expect(await app.texts()).toEqual(['of a request']);
  });

  it('jobs run in sessions of their own, and take turns where there are fewer connections', async () => {
    const outcomes = await app.jobs.settle(
      [1, 2, 3, 4, 5, 6],
      async (session, input) => {
        const { id } = await write(session, `job ${input}`);
        if (input === 4) {
          throw new Error('no');
        }
        return id;
      },
      { concurrency: 4 },
    );

    expect(outcomes.map(({ status }) => status)).toEqual(
      [1, 2, 3, 4, 5, 6].map((input) => (input === 4 ? 'rejected' : 'fulfilled')),
    );
    expect((await app.texts()).toSorted()).toEqual([1, 2, 3, 5, 6].map((input) => `job ${input}`));
    await hold();
  });

  it('what waits for a connection that only it could give back fails, and names who has it', async () => {
    const nested = app.factory.begin(
      async (session) => {
        await session.count(Note);
        const others = Array.from({ length: size }, () =>
          app.factory.begin(
            async (inner) => {
              await inner.count(Note);
              return app.factory.run(async (innermost) => innermost.count(Note));
            },
            { label: 'within' },
          ),
        );
        const outcomes = await Promise.allSettled(others);
        return outcomes.map((outcome) => (outcome.status === 'rejected' ? outcome.reason : outcome.value));
      },
      { label: 'around' },
    );

    const outcomes = await nested;
    expect(outcomes.some((outcome) => outcome instanceof SessionPoolDeadlockError)).toBe(true);
    expect(String(outcomes.find((outcome) => outcome instanceof Error))).toContain('"around"');
    await hold();
  });

  it('a transaction of its own within a transaction fails where there is no other connection', async () => {
    const nest = async (session: EntityManager, depth: number): Promise<void> => {
      await session.count(Note);
      if (depth > 0) {
        await session.transactional((inner) => nest(inner, depth - 1), { propagation: 'requires_new' as never });
      }
    };

    await expect(app.factory.begin((session) => nest(session, size))).rejects.toThrow(SessionPoolDeadlockError);
    await hold();
  });

  it('a fork of the application keeps its connection from nobody who waits within its block for ever', async () => {
    const nest = (em: EntityManager, depth: number): Promise<number> =>
      em.transactional(async (inner) => {
        await inner.count(Note);
        return depth === 0 ? 0 : nest(app.orm.em.fork(), depth - 1);
      });
    await expect(nest(app.orm.em.fork(), size)).rejects.toThrow('a fork of the EntityManager "default"');
    await expect(app.factory.run(() => nest(app.orm.em.fork(), size))).rejects.toThrow(SessionPoolDeadlockError);

    const ofJobs = app.orm.em.fork().transactional(async (em) => {
      await em.count(Note);
      return app.jobs.map([1, 2], (session) => session.count(Note), { concurrency: 2 });
    });
    const [outcome] = await Promise.allSettled([ofJobs]);

    expect(outcome.status).toBe(size === 1 ? 'rejected' : 'fulfilled');
    await hold();
  });

  it('the end of a scope rolls back, gives the connection back and closes the session', async () => {
    const left = await app.factory.run(async (session) => {
      await session.begin();
      await write(session, 'lost');
      return session;
    });

    expect(await app.texts()).toEqual([]);
    await expect(left.count(Note)).rejects.toThrow(SessionClosedError);
    await hold();
  });

  it('the time-out of a job that waits for a connection ends the wait', async () => {
    await app.factory.begin(async (session) => {
      await session.count(Note);
      const others = Array.from({ length: size - 1 }, () => Promise.withResolvers<void>());
      const holding = others.map(({ promise }) =>
        app.factory.begin(async (other) => {
          await other.count(Note);
          await promise;
        }),
      );
      const outside = app.jobs.settle([1], async (own) => own.count(Note), {
        timeout: 50,
        concurrency: 1,
      });

      expect(await outside).toMatchObject([
        { status: 'rejected', reason: { code: size === 1 ? 'SESSION_POOL_DEADLOCK' : 'JOB_TIMED_OUT' } },
      ]);
      others.forEach(({ resolve }) => resolve());
      await Promise.all(holding);
    });
    await hold();
  });

  it('a job with a time-out and a signal that do not matter is fulfilled', async () => {
    const { signal } = new AbortController();

    const ids = await app.jobs.map([1, 2], async (session, input) => (await write(session, `job ${input}`)).text, {
      timeout: 10_000,
      signal,
    });

    expect(ids).toEqual(['job 1', 'job 2']);
    expect(await app.texts()).toHaveLength(2);
  });

  it('the abort of a job that waits for something else rolls it back', async () => {
    const abort = new AbortController();

    const outcomes = await app.jobs.settle(
      [1],
      async (session, _input, { signal }) => {
        await write(session, 'lost');
        abort.abort();
        await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
      },
      { signal: abort.signal },
    );

    expect(outcomes).toMatchObject([{ status: 'rejected', reason: { name: 'AbortError' } }]);
    expect(await app.texts()).toEqual([]);
    await hold();
  });

  it('a connection belongs to whoever waited for it, and not to whoever gave it back', async () => {
    const isWaiting = Promise.withResolvers<void>();
    const isLost = Promise.withResolvers<void>();
    const others = Array.from({ length: size - 1 }, () =>
      app.factory.begin(async (session) => {
        await session.count(Note);
        await isLost.promise;
      }),
    );

    const giver = app.jobs.settle(
      [1],
      async (session) => {
        await session.begin();
        await write(session, 'given back');
        isWaiting.resolve();
        await nextTurn();
        await session.commit();
        await isLost.promise;
      },
      { transaction: 'none', timeout: 300 },
    );
    await isWaiting.promise;
    const taker = app.factory.begin(async (session) => {
      await write(session, 'taken');
      // The connections of the job are ended some time after its end.
      await giver;
      await delay(1_200);
      await write(session, 'kept');
    });
    await taker.finally(() => isLost.resolve());
    await Promise.all(others);

    expect(await giver).toMatchObject([{ reason: { code: 'JOB_TIMED_OUT' } }]);
    expect(await app.texts()).toEqual(['given back', 'taken', 'kept']);
  });

  it('ownership, overlapping use and foreign entities are refused', async () => {
    await app.factory.run(async (session) => {
      const note = await write(session, 'mine');
      const elsewhere = app.jobs.settle([1], async (own) => {
        expect(() => own.persist(note)).toThrow(EntityOwnershipError);
        await session.count(Note);
      });
      expect(await elsewhere).toMatchObject([{ status: 'rejected', reason: expect.any(SessionOwnershipError) }]);

      session.create(Note, { text: 'one' });
      const flushed = session.flush();
      await expect(session.flush()).rejects.toThrow(ConcurrentSessionUseError);
      await flushed;
    });

    expect(await app.texts()).toEqual(['mine', 'one']);
  });

  it('a rollback gives entities the values that the database has', async () => {
    await app.factory.run(async (session) => {
      const note = await write(session, 'before');
      await session
        .transactional(async (inner) => {
          note.text = 'after';
          await inner.flush();
          await inner.transactional(async () => {
            note.text = 'within';
          });
          throw new Error('undo');
        })
        .catch(() => undefined);

      expect(note.text).toBe('before');
      await session.flush();
    });

    expect(await app.texts()).toEqual(['before']);
  });

  it('a subscriber to a rollback that takes its time leaves the next transaction alone', async () => {
    const isRolledBack = Promise.withResolvers<void>();
    const events = app.orm.em.getEventManager();
    const subscriber: EventSubscriber = {
      afterTransactionRollback: () => {
        isRolledBack.resolve();
        return delay(1_000);
      },
    };
    events.registerSubscriber(subscriber);
    const failed = app.factory.begin(async (session) => {
      await write(session, 'lost');
      throw new Error('no');
    });
    failed.catch(() => undefined);
    await isRolledBack.promise;
    events.getSubscribers().delete(subscriber);

    await app.factory.begin(async (session) => {
      await write(session, 'first');
      await failed.catch(() => undefined);
      await write(session, 'second');
    });

    await expect(failed).rejects.toThrow('no');
    expect(await app.texts()).toEqual(['first', 'second']);
    await hold();
  });

  it('a savepoint that fails undoes itself alone', async () => {
    await app.factory.begin(async (session) => {
      await write(session, 'outer');
      await session
        .transactional(async (inner) => {
          await write(inner, 'inner');
          throw new Error('undo');
        })
        .catch(() => undefined);
      await write(session, 'then');
    });

    expect(await app.texts()).toEqual(['outer', 'then']);
  });

  it('statements that begin or end a transaction are refused, in and out of one', async () => {
    await app.factory.begin(async (session) => {
      await write(session, 'kept');
      await expect(session.execute('commit')).rejects.toThrow(SessionStateError);
      await expect(session.execute('/* so */ rollback')).rejects.toThrow('ended by the block or call that began it');
      await expect(session.execute('savepoint trx1')).rejects.toThrow(SessionStateError);
    });
    await app.factory.run(async (session) => {
      await expect(session.execute('begin')).rejects.toThrow('would leave a transaction open');
    });

    expect(await app.texts()).toEqual(['kept']);
  });

  it('a text that looks like such a statement is none', async () => {
    const text = `it's; begin; commit -- "so" \\'; rollback`;

    await app.factory.run((session) => write(session, text));
    await app.factory.begin((session) => write(session, text));

    expect(await app.texts()).toEqual([text, text]);
  });

  it('a stream in a transaction refuses other statements until it was read', async () => {
    await app.factory.run((session) =>
      session.insertMany(
        Note,
        Array.from({ length: 300 }, (_, n) => ({ text: `${n}` })),
      ),
    );

    const seen = await app.factory.begin(async (session) => {
      let rows = 0;
      const stream = session.stream(Note);
      await stream.next();
      await expect(session.execute('select 1')).rejects.toThrow('a stream of its transaction was half read');
      for await (const note of stream) {
        rows += note === undefined ? 0 : 1;
      }
      await write(session, 'then');
      return rows;
    });

    expect(seen).toBe(299);
    expect(await app.texts()).toHaveLength(301);
  });

  it('a stream that is left gives its connection back, in a transaction and without', async () => {
    await app.factory.run((session) =>
      session.insertMany(
        Note,
        Array.from({ length: 300 }, (_, n) => ({ text: `${n}` })),
      ),
    );

    for (const within of [app.factory.begin, app.factory.run] as const) {
      await within.call(app.factory, async (session: EntityManager) => {
        for await (const { text } of session.stream(Note)) {
          expect(text).toBe('0');
          break;
        }
        expect(await session.count(Note)).toBe(300);
      });
    }
    await hold();
  });

  it('a half-read stream outside of a transaction does not wait for itself', async () => {
    await app.factory.run((session) => session.insertMany(Note, [{ text: 'a' }, { text: 'b' }]));

    const answer = app.factory.run(async (session) => {
      const streams = Array.from({ length: size }, () => session.stream(Note));
      await Promise.all(streams.map((stream) => stream.next()));
      return session.count(Note);
    });

    await expect(answer).rejects.toThrow(SessionPoolDeadlockError);
    await hold();
  });

  it('a transaction that is left open by hand does not meet the next session', async () => {
    const left = app.factory.run(async (session) => {
      await session
        .getKysely()
        .connection()
        .execute(async (one) => {
          await one.executeQuery({ sql: 'begin', parameters: [], query: { kind: 'RawNode' } } as never);
          await one.executeQuery({
            sql: `insert into note (text, tenant) values ('left', 'a')`,
            parameters: [],
            query: { kind: 'RawNode' },
          } as never);
        });
    });

    await expect(left).rejects.toThrow('A transaction was left open');
    await hold();
    expect(await app.texts()).toEqual([]);
  });

  it('filters of the application hold in every session', async () => {
    app.orm.em.addFilter({ name: 'tenant', cond: { tenant: 'b' }, entity: Note });
    try {
      await app.factory.run(async (session) => {
        await session.insertMany(Note, [{ text: 'x' }, { text: 'y', tenant: 'b' }]);
        expect(await session.count(Note)).toBe(1);
        expect((await app.orm.em.find(Note, {})).map(({ text }) => text)).toEqual(['y']);
      });
    } finally {
      app.orm.em.addFilter({ name: 'tenant', cond: {}, entity: Note, default: false });
    }
  });
});
