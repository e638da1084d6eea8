import { once } from 'node:events';

import { EntityManager } from '@mikro-orm/postgresql';
import { BullModule, getQueueToken, OnWorkerEvent, Processor, WorkerHost } from '@nestjs/bullmq';
import { Inject, Injectable, Scope } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import type { Job, JobsOptions, Queue } from 'bullmq';
import { InjectSession, InSession, SessionClosedError, SessionContext } from 'nestjs-mikro-session';

import { findTexts } from '../support/find-texts.js';
import { noLiveScope } from '../support/no-live-scope.js';
import { Note } from '../support/note.entity.js';
import { injections, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { backends, type JobEnd, type QueueBackend, useBackend } from './queue-backends.js';

interface Order {
  readonly job: Job<{ readonly text: string }>;
  readonly session: EntityManager;
}

/** What the processors do with a job: each test decides. */
@Injectable()
class Desk {
  work: (order: Order) => unknown = () => undefined;
  onFailed: (session: EntityManager) => unknown = () => undefined;
}

@Processor('singleton', { concurrency: 5 })
class SingletonProcessor extends WorkerHost {
  constructor(
    private readonly desk: Desk,
    private readonly em: EntityManager,
    @Inject(SessionContext) private readonly context: SessionContext<EntityManager>,
  ) {
    super();
  }

  async process(job: Job<{ text: string }>, _token?: string, _signal?: AbortSignal): Promise<unknown> {
    return this.desk.work({ job, session: this.em });
  }

  @OnWorkerEvent('failed')
  @InSession({ transaction: true })
  async failed(): Promise<void> {
    await this.desk.onFailed(this.context.current);
  }
}

@Processor({ name: 'request-scoped', scope: Scope.REQUEST }, { concurrency: 5 })
class RequestScopedProcessor extends WorkerHost {
  constructor(
    private readonly desk: Desk,
    @InjectSession() private readonly session: EntityManager,
    @Inject(REQUEST) private readonly job: Job<{ text: string }>,
  ) {
    super();
  }

  async process(): Promise<unknown> {
    return this.desk.work({ job: this.job, session: this.session });
  }
}

describe.each(backends)('@nestjs/bullmq on %s', (backend) => {
  describe.each(injections)('with %s injection', (injection) => {
    describe.each(['singleton', 'request-scoped'])('and a %s processor', (name) => {
      let database: TestDatabase;
      let app: TestApp;
      let desk: Desk;
      let context: SessionContext<EntityManager>;
      let queue: Queue;
      let jobs: QueueBackend;

      beforeAll(async () => {
        database = await createTestDatabase();
        jobs = useBackend(backend, database.url);
        app = await startTestApp({
          databaseUrl: database.url,
          session: {
            injection,
            fork: ({ info }) => ({ schema: (info['data'] as { schema?: string })?.schema ?? 'public' }),
          },
          // BullMQ may have made its schema by the time that the tables of the test are made.
          orm: { schemaGenerator: { ignoreSchema: ['bullmq'] } },
          imports: [BullModule.forRoot(jobs.options), BullModule.registerQueue({ name })],
          providers: [Desk, name === 'singleton' ? SingletonProcessor : RequestScopedProcessor],
        });
        [desk, context, queue] = [app.get(Desk), app.get(SessionContext), app.get(getQueueToken(name))];
      });

      afterEach(async () => {
        await noLiveScope(app);
        await database.query('delete from note');
      });

      afterAll(async () => {
        await queue.obliterate({ force: true });
        await app.close();
        await database.drop();
      });

      const texts = (): Promise<string[]> => findTexts(database, 'text');
      const run = async (data: object, options: JobsOptions = {}): Promise<JobEnd> =>
        jobs.end(await queue.add('note', data, options));

      it('gives each job a session of its own, also in parallel', async () => {
        const all = Promise.withResolvers<void>();
        let running = 0;
        desk.work = async ({ job, session }) => {
          running += 1;
          if (running === 5) {
            all.resolve();
          }
          await all.promise;
          session.create(Note, { text: job.data.text });
          await session.flush();
          const ids = [session.id, context.current.id, app.orm.em.id];
          return {
            kind: context.scope.kind,
            label: context.scope.label,
            ids,
            notes: await session.count(Note, job.data),
          };
        };

        const added = await queue.addBulk(['a', 'b', 'c', 'd', 'e'].map((text) => ({ name: 'note', data: { text } })));
        const ends = (await Promise.all(added.map(jobs.end))) as { readonly returned: { readonly ids: number[] } }[];

        expect(ends).toMatchObject(
          added.map(({ id }) => ({ returned: { kind: 'job', label: `job ${id} of queue "${name}"`, notes: 1 } })),
        );
        expect(ends.every(({ returned }) => new Set(returned.ids).size === 1)).toBe(true);
        expect(new Set(ends.map(({ returned: { ids } }) => ids[0])).size).toBe(5);
        expect(await texts()).toEqual(['a', 'b', 'c', 'd', 'e']);
      });

      it('rolls back what a failing job left open, and retries with a fresh session', async () => {
        const sessions: number[] = [];
        desk.work = async ({ job, session }) => {
          sessions.push(session.id);
          await session.begin();
          session.create(Note, { text: `${job.data.text} ${job.attemptsMade}` });
          await session.flush();
          if (job.attemptsMade === 0) {
            throw new Error('no');
          }
          await session.commit();
        };

        await run({ text: 'a' }, { attempts: 2 });

        expect(new Set(sessions).size).toBe(2);
        expect(await texts()).toEqual(['a 1']);
      });

      it('closes the session when the job has settled', async () => {
        const gate = Promise.withResolvers<void>();
        let late: Promise<unknown> = Promise.resolve();
        desk.work = ({ session }) => {
          late = gate.promise.then(() => session.count(Note));
        };
        const job = await queue.add('note', {});
        await jobs.end(job);

        gate.resolve();

        await expect(late).rejects.toThrow(SessionClosedError);
        await expect(late).rejects.toThrow(`The session of "job ${job.id} of queue "${name}"" was used after its end`);
      });

      it('lets the fork options depend on the data of the job', async () => {
        desk.work = ({ session }) => session.schema;

        expect(await run({ schema: 'tenant_a' })).toEqual({ returned: 'tenant_a' });
      });

      if (name === 'singleton') {
        it('aborts the signal of the scope when the job is cancelled', async () => {
          const begun = Promise.withResolvers<void>();
          desk.work = async () => {
            const aborted = once(context.scope.signal, 'abort');
            begun.resolve();
            await aborted;
            return 'aborted';
          };
          const job = await queue.add('note', {});
          await begun.promise;

          jobs.workers[0]?.cancelJob(job.id as string);

          expect(await jobs.end(job)).toEqual({ returned: 'aborted' });
        });

        it('leaves the events of a worker to @InSession()', async () => {
          const failed = Promise.withResolvers<string>();
          desk.work = () => Promise.reject(new Error('no'));
          desk.onFailed = (session) => {
            session.create(Note, { text: 'failed' });
            context.afterCommit(() => failed.resolve(context.scope.label));
          };

          const end = await run({});

          expect(end).toEqual({ threw: 'no' });
          expect(await failed.promise).toBe('afterCommit of SingletonProcessor.failed');
          expect(await texts()).toEqual(['failed']);
        });
      }
    });
  });
});
