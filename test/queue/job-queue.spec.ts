import { Transactional } from '@mikro-orm/decorators/legacy';
import { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { Controller, Injectable, Param, Post } from '@nestjs/common';
import {
  JobService,
  SessionClosedError,
  SessionContext,
  SessionFactory,
  SessionSetupError,
  TransactionAbortedError,
} from 'nestjs-mikro-session';
import { JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { Note } from '../support/note.entity.js';
import { ormOptions } from '../support/test-app.js';
import { createTestDatabase } from '../support/test-database.js';
import { useTestApp } from '../support/use-test-app.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    letters: string;
    'dead-letters': string;
    orders: { readonly id: number; readonly customer?: string };
    'last-orders': number;
    nowhere: unknown;
  }
}

/** A service as users of MikroORM write it. */
@Injectable()
class LetterWriter {
  constructor(
    private readonly em: EntityManager,
    private readonly queue: JobQueue,
  ) {}

  @Transactional()
  async write(text: string, fails: boolean): Promise<void> {
    this.em.create(Note, { text });
    await this.queue.send('letters', text);
    if (fails) {
      throw new Error('told to fail');
    }
  }
}

/** Works without the session of its request. */
@Controller('letters')
class LetterController {
  constructor(
    private readonly orm: MikroORM,
    private readonly queue: JobQueue,
  ) {}

  @Post(':text')
  async write(@Param('text') text: string): Promise<void> {
    await this.orm.em
      .fork()
      .transactional(async () => {
        await this.queue.send('letters', text);
        if (text.startsWith('lost')) {
          throw new Error('told to fail');
        }
      })
      .catch(() => undefined);
  }
}

interface StoredJob {
  readonly name: string;
  readonly data: unknown;
  readonly state: string;
  readonly priority: number;
  readonly singleton_key: string | null;
  readonly group_id: string | null;
}

/** Opens another database with a MikroORM that no application has. */
async function openOther(): Promise<AsyncDisposable & { readonly orm: MikroORM }> {
  const database = await createTestDatabase();
  const orm = await MikroORM.init(ormOptions(database.url));
  return {
    orm,
    [Symbol.asyncDispose]: async () => {
      await orm.close();
      await database.drop();
    },
  };
}

describe('JobQueue', () => {
  let queue: JobQueue;
  let sessions: SessionFactory<EntityManager>;
  let context: SessionContext<EntityManager>;

  const { app, database } = useTestApp({
    imports: [
      JobQueueModule.forRoot({
        queues: {
          letters: { deadLetter: 'dead-letters', retryLimit: 0 },
          'dead-letters': {},
          orders: {},
          'last-orders': { policy: 'short' },
        },
      }),
    ],
    controllers: [LetterController],
    providers: [LetterWriter],
  });

  beforeAll(() => {
    queue = app.get(JobQueue);
    sessions = app.get(SessionFactory);
    context = app.get(SessionContext);
  });

  afterEach(async () => {
    await database.query('delete from pgboss.job');
    await database.query('delete from pgboss.schedule');
    await database.query('delete from note');
  });

  async function findJobs(): Promise<StoredJob[]> {
    return database.query<StoredJob>(
      'select name, data, state, priority, singleton_key, group_id from pgboss.job order by created_on, priority desc, id',
    );
  }

  async function findInputs(): Promise<unknown[]> {
    const rows = await database.query<{ input: unknown }>(
      `select data -> 'input' as input from pgboss.job order by coalesce((data ->> 'index')::int, 0), created_on`,
    );
    return rows.map(({ input }) => input);
  }

  describe('send', () => {
    it('sends at once where there is no transaction, and gives the id of the job', async () => {
      const id = await queue.send('letters', 'hello');

      expect(await database.query('select id, name, data, state from pgboss.job')).toEqual([
        { id, name: 'letters', data: { input: 'hello' }, state: 'created' },
      ]);
    });

    it('sends at once in a scope without a transaction', async () => {
      await sessions.run(async () => {
        await queue.send('letters', 'hello');
        expect(await findInputs()).toEqual(['hello']);
      });
    });

    it('passes the options on to pg-boss', async () => {
      await queue.send('orders', { id: 1 }, { priority: 7, singletonKey: 'one', group: { id: 'customer' } });

      expect(await findJobs()).toMatchObject([{ priority: 7, singleton_key: 'one', group_id: 'customer' }]);
    });

    it('gives null when a singleton option has no room for the job', async () => {
      const options = { singletonKey: 'one', singletonSeconds: 60 };

      const ids = [await queue.send('letters', 'first', options), await queue.send('letters', 'second', options)];

      expect(ids).toEqual([expect.any(String), null]);
    });

    it.each([undefined, () => 1, Symbol('s'), 1n, NaN, Infinity])(
      'refuses the input %p, which JSON cannot hold',
      async (input) => {
        await expect(queue.send('nowhere', input)).rejects.toThrow(
          /^Expected `input` of a job for queue "nowhere" to be something that JSON in PostgreSQL can hold, got `/,
        );
      },
    );

    it('says what to do when the queue does not exist', async () => {
      const sending = queue.send('nowhere', 1);

      await expect(sending).rejects.toThrow(SessionSetupError);
      await expect(sending).rejects.toThrow(
        `The queue "nowhere" does not exist. Give it a handler with @JobHandler({ queue: 'nowhere' }), ` +
          `or name it in JobQueueModule.forRoot({ queues: { 'nowhere': {} } }).`,
      );
    });
  });

  describe('in an open transaction', () => {
    it('sends with its commit, and not before', async () => {
      await sessions.begin(async () => {
        await queue.send('letters', 'hello');
        expect(await findInputs()).toEqual([]);
      });

      expect(await findInputs()).toEqual(['hello']);
    });

    it('sends nothing when it is rolled back', async () => {
      const rolledBack = sessions.begin(async () => {
        await queue.send('letters', 'hello');
        await queue.sendMany('letters', ['and', 'good', 'bye']);
        throw new Error('told to fail');
      });

      await expect(rolledBack).rejects.toThrow('told to fail');
      expect(await findInputs()).toEqual([]);
    });

    it('sends nothing that a savepoint takes back', async () => {
      await sessions.begin(async (session) => {
        await queue.send('letters', 'before');
        await session
          .transactional(async () => {
            await queue.send('letters', 'within');
            throw new Error('told to fail');
          })
          .catch(() => undefined);
        await queue.send('letters', 'after');
      });

      expect(await findInputs()).toEqual(['before', 'after']);
    });

    it('joins one that the session began by hand', async () => {
      await sessions.run(async (session) => {
        await session.begin();
        await queue.send('letters', 'lost');
        await session.rollback();
        await session.begin();
        await queue.send('letters', 'kept');
        await session.commit();
      });

      expect(await findInputs()).toEqual(['kept']);
    });

    it('joins the one of a job of JobService', async () => {
      const jobs = app.get<JobService<EntityManager>>(JobService);

      await jobs.settle([1, 2, 3], async (_session, number) => {
        await queue.send('letters', `letter ${number}`);
        if (number === 2) {
          throw new Error('told to fail');
        }
      });

      expect(new Set(await findInputs())).toEqual(new Set(['letter 1', 'letter 3']));
    });

    it('joins the one of a method with @Transactional(), in a scope and outside of scopes', async () => {
      const writer = app.get<LetterWriter>(LetterWriter);

      await app.orm.em.fork().transactional(async () => {
        await queue.send('letters', 'by hand');
      });
      await app.orm.em
        .fork()
        .transactional(async () => {
          await queue.send('letters', 'lost by hand');
          throw new Error('told to fail');
        })
        .catch(() => undefined);
      await sessions.run(async () => {
        await writer.write('in a scope', false);
        await writer.write('lost in a scope', true).catch(() => undefined);
      });

      expect(await findInputs()).toEqual(['by hand', 'in a scope']);
      expect(await database.query('select text from note')).toEqual([{ text: 'in a scope' }]);
    });

    it('joins the one of a fork in a scope that has no session so far', async () => {
      await fetch(`${app.url}/letters/kept`, { method: 'POST' });
      await fetch(`${app.url}/letters/lost`, { method: 'POST' });

      expect(await findInputs()).toEqual(['kept']);
    });

    it('does not join the one of another MikroORM with the same name', async () => {
      await using other = await openOther();
      const rolledBack = other.orm.em.fork().transactional(async () => {
        await queue.send('letters', 'outside');
        throw new Error('told to fail');
      });

      await expect(rolledBack).rejects.toThrow('told to fail');
      expect(await findInputs()).toEqual(['outside']);
    });

    it('has its callback after commit find the job', async () => {
      const found = Promise.withResolvers<unknown[]>();

      await sessions.begin(async () => {
        context.afterCommit(async () => found.resolve(await findInputs()));
        await queue.send('letters', 'hello');
      });

      expect(await found.promise).toEqual(['hello']);
    });

    it('lets a callback after commit send outside of it', async () => {
      const sent = Promise.withResolvers<string | null>();

      await sessions.begin(() => context.afterCommit(async () => sent.resolve(await queue.send('letters', 'later'))));

      expect(await sent.promise).toEqual(expect.any(String));
      expect(await findInputs()).toEqual(['later']);
    });

    it('fails with a transaction whose job was refused, also when the error is swallowed', async () => {
      const refused = sessions.begin(async () => {
        await queue.send('letters', 'lost');
        await queue.send('letters', 'refused', { id: 'no uuid' }).catch(() => undefined);
      });

      await expect(refused).rejects.toThrow(TransactionAbortedError);
      expect(await findInputs()).toEqual([]);
    });
  });

  it('refuses code that outlived its scope, which would send what was rolled back', async () => {
    const over = Promise.withResolvers<void>();
    let late: Promise<unknown> | undefined;

    await sessions.run(() => {
      late = over.promise.then(() => queue.send('letters', 'late'));
    });
    over.resolve();

    await expect(late).rejects.toThrow(SessionClosedError);
    expect(await findInputs()).toEqual([]);
  });

  describe('sendMany', () => {
    it('sends a job for each input, in batches, and gives their number', async () => {
      const inputs = Array.from({ length: 2_500 }, (_, nth) => `letter ${nth}`);

      const count = await queue.sendMany('letters', inputs);

      expect(count).toBe(2_500);
      expect(await findInputs()).toEqual(inputs);
      expect(await database.query(`select data from pgboss.job where data ->> 'index' = '7'`)).toEqual([
        { data: { input: 'letter 7', index: 7 } },
      ]);
    });

    it('reads an asynchronous source no further than it has sent', async () => {
      let isClosed = false;
      const unsent: number[] = [];
      async function* source(): AsyncGenerator<string> {
        try {
          for (let nth = 0; nth < 3_000; nth += 1) {
            if (nth % 1_000 === 0) {
              unsent.push(nth - (await findInputs()).length);
            }
            yield `letter ${nth}`;
          }
        } finally {
          isClosed = true;
        }
      }

      const count = await queue.sendMany('letters', source());

      expect(count).toBe(3_000);
      expect(unsent).toEqual([0, 0, 0]);
      expect(isClosed).toBe(true);
    });

    it('fails with the error of its source, and in a transaction leaves nothing', async () => {
      function* source(): Generator<string> {
        for (let nth = 0; nth < 1_500; nth += 1) {
          yield `letter ${nth}`;
        }
        throw new Error('the source broke');
      }

      await expect(sessions.begin(() => queue.sendMany('letters', source()))).rejects.toThrow('the source broke');

      expect(await findInputs()).toEqual([]);
    });

    it('takes the options of each job from a function', async () => {
      const orders = [
        { id: 1, customer: 'a' },
        { id: 2, customer: 'b' },
      ];

      await queue.sendMany('orders', orders, ({ customer = '' }, index) => ({
        group: { id: customer },
        priority: 9 - index,
      }));

      expect(await findJobs()).toMatchObject([
        { data: { input: orders[0] }, group_id: 'a', priority: 9 },
        { data: { input: orders[1], index: 1 }, group_id: 'b', priority: 8 },
      ]);
    });

    it('counts the jobs that were made, where pg-boss leaves some out', async () => {
      const sendTwice = async (): Promise<number> =>
        queue.sendMany('orders', [{ id: 1 }, { id: 2 }, { id: 1 }], ({ id }) => ({
          singletonKey: `${id}`,
          singletonSeconds: 3_600,
        }));

      expect([await sendTwice(), await sendTwice()]).toEqual([2, 0]);
      expect(await queue.sendMany('last-orders', [1, 2, 3])).toBe(1);
    });

    it('refuses what is no list of inputs', async () => {
      await expect(queue.sendMany('letters', 7 as never)).rejects.toThrow(TypeError);
    });
  });

  describe('the info of the scope that sends', () => {
    it('goes along, and may be added to', async () => {
      await sessions.run(
        async () => {
          await queue.send('letters', 'one', { info: { copies: 2 } });
          await queue.sendMany('letters', ['two', 'three'], (input) =>
            input === 'two' ? {} : { info: { tenant: 'b' } },
          );
        },
        { info: { tenant: 'a' } },
      );

      const rows = await database.query<{ data: unknown }>(
        `select data from pgboss.job order by data -> 'index' nulls first, data -> 'info' -> 'copies'`,
      );
      expect(rows.map(({ data }) => data)).toEqual(
        expect.arrayContaining([
          { input: 'one', info: { tenant: 'a', copies: 2 } },
          { input: 'two', info: { tenant: 'a' } },
          { input: 'three', index: 1, info: { tenant: 'b' } },
        ]),
      );
    });

    it('is refused when JSON would make something else of it, unless it is left out', async () => {
      await sessions.run(
        async () => {
          await expect(queue.send('letters', 'one')).rejects.toThrow(
            "Expected `info.tenants` to be something that JSON can hold, since it is sent with the job, got `Set(1) { 'a' }`.",
          );
          await queue.send('letters', 'one', { info: { tenants: undefined } });
        },
        { info: { tenants: new Set(['a']) } },
      );

      expect(await findJobs()).toMatchObject([{ data: { input: 'one' } }]);
    });
  });

  describe('cancel, retry and redrive', () => {
    it('cancels jobs, also as part of a transaction', async () => {
      const first = (await queue.send('letters', 'first')) ?? '';
      const second = (await queue.send('letters', 'second')) ?? '';

      const count = await queue.cancel('letters', first);
      await sessions
        .begin(async () => {
          await queue.cancel('letters', [second]);
          throw new Error('told to fail');
        })
        .catch(() => undefined);

      expect(count).toBe(1);
      expect(await findJobs()).toMatchObject([{ state: 'cancelled' }, { state: 'created' }]);
    });

    it('runs a failed job again', async () => {
      const id = (await queue.send('letters', 'first')) ?? '';
      const boss = await queue.boss();
      await boss.fetch('letters');
      await boss.fail('letters', id);

      expect(await queue.retry('letters', id)).toBe(1);
      expect(await queue.retry('letters', id)).toBe(0);
      expect(await database.query(`select state from pgboss.job where name = 'letters'`)).toEqual([{ state: 'retry' }]);
    });

    it('moves jobs from the dead letter queue back to their own', async () => {
      const id = (await queue.send('letters', 'first')) ?? '';
      const boss = await queue.boss();
      await boss.fetch('letters');
      await boss.fail('letters', id);

      expect(await queue.redrive('dead-letters')).toBe(1);

      expect(await database.query(`select name, data from pgboss.job where state = 'created'`)).toEqual([
        { name: 'letters', data: { input: 'first' } },
      ]);
    });
  });

  describe('schedule', () => {
    it('stores when to send what, also as part of a transaction', async () => {
      await queue.schedule('letters', '0 6 * * *', 'good morning', { tz: 'Europe/Berlin', key: 'morning' });
      await sessions
        .begin(async () => {
          await queue.schedule('letters', '0 22 * * *', 'good night', { key: 'night' });
          throw new Error('told to fail');
        })
        .catch(() => undefined);

      expect(await database.query('select name, key, cron, timezone, data from pgboss.schedule')).toEqual([
        {
          name: 'letters',
          key: 'morning',
          cron: '0 6 * * *',
          timezone: 'Europe/Berlin',
          data: { input: 'good morning' },
        },
      ]);
      await queue.unschedule('letters', 'morning');
      expect(await database.query('select name from pgboss.schedule')).toEqual([]);
    });

    it.each([
      ['now and then', 'UTC'],
      ['0 6 * * *', 'Middle-earth/Shire'],
    ])('refuses the times %p in the zone %p', async (cron, tz) => {
      const scheduling = queue.schedule('letters', cron, 'hello', { tz });

      await expect(scheduling).rejects.toThrow(TypeError);
      await expect(scheduling).rejects.toThrow(`got "${cron}" in the time zone "${tz}". `);
    });
  });
});
