import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { InjectSession, type JobWorker, SessionFactory, SessionStateError } from 'nestjs-mikro-session';
import { JobDeadLetterError, JobHandler, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { Note } from '../support/note.entity.js';
import { poll } from '../support/poll.js';
import { injections } from '../support/test-app.js';
import { useTestApp } from '../support/use-test-app.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    hopeless: string;
    buried: string;
    pay: number;
    deliver: { readonly order: number };
  }
}

@Injectable()
@JobHandler({ queue: 'hopeless', retryLimit: 5, deadLetter: 'buried', chunkSize: 4, localConcurrency: 1 })
class Hopeless implements JobWorker<string, void> {
  static readonly calls: string[] = [];

  constructor(@InjectSession() private readonly session: EntityManager) {}

  async handle(text: string): Promise<void> {
    Hopeless.calls.push(text);
    this.session.create(Note, { text });
    await this.session.flush();
    if (text.startsWith('never')) {
      throw new JobDeadLetterError(`There is no ${text}`);
    }
  }
}

interface StoredJob {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly data: { readonly input: unknown; readonly info?: unknown };
  readonly output: { readonly message?: string; readonly code?: string } | null;
  readonly retry_count: number;
  readonly priority: number;
}

describe.each(injections)('JobQueue with %s injection', (injection) => {
  let queue: JobQueue<EntityManager>;
  let factory: SessionFactory<EntityManager>;

  const { app, database } = useTestApp({
    session: { injection },
    imports: [JobQueueModule.forRoot({ queues: { buried: {}, pay: {}, deliver: {} } })],
    providers: [Hopeless],
  });

  beforeAll(() => {
    [queue, factory] = [app.get(JobQueue), app.get(SessionFactory)];
  });

  afterEach(async () => {
    Hopeless.calls.splice(0);
    await database.query('delete from pgboss.job_dependency');
    await database.query('delete from pgboss.job');
    await database.query('delete from note');
  });

  const jobsOf = (name: string): Promise<StoredJob[]> =>
    database.query<StoredJob>(
      `select id, name, state::text, data, output, retry_count, priority from pgboss.job where name = '${name}' order by created_on, id`,
    );

  /** Runs a block whose transaction is rolled back. */
  const rolledBack = async (work: () => Promise<unknown>): Promise<void> => {
    const begun = factory.begin(async () => {
      await work();
      throw new Error('no');
    });
    await expect(begun).rejects.toThrow('no');
  };

  it.each([[['never a']], [['good', 'never a', 'never b']]])(
    'sends to the dead letter queue at once what a handler says to: %j',
    async (texts) => {
      await queue.sendMany('hopeless', texts);
      const hopeless = texts.filter((text) => text.startsWith('never'));
      await poll('jobs in the dead letter queue', async () => (await jobsOf('buried')).length === hopeless.length);

      const buried = (await jobsOf('buried')).map(({ data }) => String(data.input));
      expect(buried.toSorted((a, b) => a.localeCompare(b))).toEqual(hopeless);
      const failed = (await jobsOf('hopeless')).filter(({ state }) => state === 'failed');
      expect(failed.map(({ retry_count: count }) => count)).toEqual(hopeless.map(() => 0));
      const messages = failed.map(({ output }) => `${output?.code}: ${output?.message}`);
      expect(messages).toContain('JOB_DEAD_LETTER: There is no never a');
      const notes = await database.query<{ text: string }>('select text from note');
      expect(notes.map(({ text }) => text)).toEqual(texts.filter((text) => text === 'good'));
    },
  );

  it('changes the job of a key, or sends one', async () => {
    const first = await queue.upsert('pay', 'order 7', 1, { startAfter: 60 });
    const second = await queue.upsert('pay', 'order 7', 2, { priority: 5 });

    expect([first.inserted, second.updated]).toEqual([1, 1]);
    expect(await jobsOf('pay')).toMatchObject([{ data: { input: 2 }, priority: 5 }]);
  });

  it('changes the job of a key in the transaction of the session', async () => {
    await queue.upsert('pay', 'order 7', 1, { startAfter: 60 });
    await rolledBack(async () => {
      await queue.upsert('pay', 'order 7', 2);
      await queue.upsert('pay', 'order 8', 3);
    });

    expect((await jobsOf('pay')).map(({ data }) => data.input)).toEqual([1]);
  });

  it('sends jobs that wait for each other, with what is known of the scope', async () => {
    const sent = await factory.begin(
      async () => {
        const ids = await queue.flow([
          { ref: 'pay', queue: 'pay', input: 7 },
          { ref: 'deliver', queue: 'deliver', input: { order: 7 }, dependsOn: ['pay'], options: { priority: 2 } },
        ]);
        return ids;
      },
      { info: { tenant: 'a' } },
    );

    const boss = await queue.boss();
    const parents = await boss.getDependencies('deliver', sent['deliver'] ?? '');
    expect(parents).toMatchObject([{ id: sent['pay'] }]);
    expect(await jobsOf('deliver')).toMatchObject([
      { id: sent['deliver'], priority: 2, data: { input: { order: 7 }, info: { tenant: 'a' } } },
    ]);
  });

  it('sends a flow in the transaction of the session', async () => {
    await rolledBack(() =>
      queue.flow([
        { ref: 'pay', queue: 'pay', input: 7 },
        { ref: 'deliver', queue: 'deliver', input: { order: 7 }, dependsOn: ['pay'] },
      ]),
    );

    expect([...(await jobsOf('pay')), ...(await jobsOf('deliver'))]).toEqual([]);
  });

  it('publishes an event to the queues that subscribe to it, in the transaction of the session', async () => {
    await queue.subscribe('ordered', 'pay');
    await queue.subscribe('ordered', 'buried');
    await rolledBack(() => queue.publish('ordered', 'gone'));
    await factory.begin(() => queue.publish('ordered', 7), { info: { tenant: 'a' } });
    await queue.unsubscribe('ordered', 'pay');
    await queue.publish('ordered', 8);

    expect((await jobsOf('pay')).map(({ data }) => data)).toEqual([{ input: 7, info: { tenant: 'a' } }]);
    expect((await jobsOf('buried')).map(({ data }) => data.input)).toEqual([7, 8]);
    await queue.unsubscribe('ordered', 'buried');
  });

  it('makes any call of pg-boss part of the transaction of a session', async () => {
    const id = await queue.send('pay', 1);
    const boss = await queue.boss();
    await rolledBack(async () => boss.deleteJob('pay', id ?? '', { db: queue.db(injected()) }));

    expect(await jobsOf('pay')).toHaveLength(1);
    await factory.run((session) => {
      expect(() => queue.db(session)).toThrow(SessionStateError);
    });
  });

  function injected(): EntityManager {
    return app.get<EntityManager>(EntityManager);
  }
});
