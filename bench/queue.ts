import type { INestApplicationContext } from '@nestjs/common';
import { Injectable } from '@nestjs/common';
import type { EntityManager } from '@mikro-orm/postgresql';
import { InjectSession, type JobWorker } from 'nestjs-mikro-session';
import { JobHandler, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';
import { Client } from 'pg';

import { Item, POOL_SIZE, startOurs } from './applications.ts';
import type { Claim, Side } from './claim.ts';
import { insertJobs, startBoss, workByHand } from './queue-by-hand.ts';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    items: number;
  }
}

export const JOBS = 1_500;
const IN_CHUNKS = 12_000;
const CHUNK = 100;
const PREFETCH = 10;
const SENT = 100_000;
const SCHEMA = 'pgboss_of_sessions';

/** Counts its calls, to know when all jobs of a round have been at it. */
class ItemHandler implements JobWorker<number, void> {
  static #left = 0;
  static #isDone = Promise.withResolvers<void>();
  readonly #session: EntityManager;

  constructor(session: EntityManager) {
    this.#session = session;
  }

  static expect(calls: number): Promise<void> {
    this.#left = calls;
    this.#isDone = Promise.withResolvers();
    return this.#isDone.promise;
  }

  handle(value: number): void {
    this.#session.create(Item, { value });
    ItemHandler.#left -= 1;
    if (ItemHandler.#left === 0) {
      ItemHandler.#isDone.resolve();
    }
  }
}
Reflect.decorate([Injectable()], ItemHandler);
InjectSession()(ItemHandler, undefined, 0);

interface Policy {
  readonly chunkSize?: number;
  readonly prefetch?: number;
}

async function start(
  databaseUrl: string,
  { work = true, ...policy }: Policy & { readonly work?: boolean } = {},
): Promise<INestApplicationContext> {
  JobHandler({ queue: 'items', localConcurrency: POOL_SIZE, ...policy })(ItemHandler);
  const queue = JobQueueModule.forRoot({ work, boss: { schema: SCHEMA, max: POOL_SIZE } });
  return startOurs(databaseUrl, { injection: 'contextual', imports: [queue], providers: [ItemHandler] });
}

/** Waits until the last jobs of a round are committed too. */
async function untilCompleted(client: Client): Promise<void> {
  for (;;) {
    const { rows } = await client.query<{ left: boolean }>(
      `select exists (select from ${SCHEMA}.job where state < 'completed') as left`,
    );
    if (rows[0]?.left !== true) {
      return;
    }
  }
}

async function work(jobs: number, policy: Policy, databaseUrl: string): Promise<Side> {
  const app = await start(databaseUrl, policy);
  const queue = app.get<JobQueue>(JobQueue);
  const observer = new Client({ connectionString: databaseUrl });
  await observer.connect();
  return {
    async round() {
      const done = ItemHandler.expect(jobs);
      await queue.sendMany('items', Array(jobs).keys());
      await done;
      await untilCompleted(observer);
    },
    async close() {
      await observer.end();
      await app.close();
    },
  };
}

/** Durable jobs against pg-boss by hand, with raw SQL and the same guarantees. */
export const queueClaim: Claim = {
  title: `${JOBS} durable jobs that insert a row, ${POOL_SIZE} at once, sent and done`,
  peer: 'pg-boss by hand: fetch, begin, insert, complete, commit in as many loops',
  atMost: 1.1,
  ours: (databaseUrl) => work(JOBS, {}, databaseUrl),
  theirs: (databaseUrl) => workByHand(JOBS, databaseUrl),
};

/** The same with jobs that are fetched some at a time. */
export const queuePrefetchClaim: Claim = {
  ...queueClaim,
  title: `${JOBS} durable jobs that insert a row, ${POOL_SIZE} at once, prefetched by ${PREFETCH}, sent and done`,
  atMost: 1 / 0.95,
  ours: (databaseUrl) => work(JOBS, { prefetch: PREFETCH }, databaseUrl),
};

/** What chunks save over the same by hand, one by one. */
export const queueChunkClaim: Claim = {
  ...queueClaim,
  title: `${IN_CHUNKS} durable jobs in chunks of ${CHUNK}, ${POOL_SIZE} at once, sent and done`,
  peer: `${queueClaim.peer}, one by one`,
  atMost: 1 / 8,
  rounds: 9,
  ours: (databaseUrl) => work(IN_CHUNKS, { chunkSize: CHUNK }, databaseUrl),
  theirs: (databaseUrl) => workByHand(IN_CHUNKS, databaseUrl),
};

/** What sending costs over pg-boss's own insert. */
export const sendClaim: Claim = {
  title: `${SENT} durable jobs sent`,
  peer: 'PgBoss.insert() in batches of as many',
  atMost: 1 / 0.9,
  rounds: 5,
  async ours(databaseUrl) {
    const app = await start(databaseUrl, { work: false });
    const queue = app.get<JobQueue>(JobQueue);
    const boss = await queue.boss();
    return {
      round: () =>
        timed(
          () => queue.sendMany('items', Array(SENT).keys()),
          () => boss.deleteAllJobs('items'),
        ),
      close: () => app.close(),
    };
  },
  async theirs(databaseUrl) {
    const boss = await startBoss(databaseUrl);
    return {
      round: () =>
        timed(
          () => insertJobs(boss, SENT),
          () => boss.deleteAllJobs('items'),
        ),
      close: () => boss.stop(),
    };
  },
};

/** Returns the milliseconds of `work`, and cleans up after it. */
async function timed(work: () => Promise<unknown>, cleanUp: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  const taken = performance.now() - start;
  await cleanUp();
  return taken;
}
