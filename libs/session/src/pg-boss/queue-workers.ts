import type { EntityManager } from '@mikro-orm/core';
import { Logger } from '@nestjs/common';
import type { ModuleRef } from '@nestjs/core';
import type { JobResult, PgBoss } from 'pg-boss';

import { getConcurrency } from '../jobs/concurrency.js';
import { toPieceWork } from '../jobs/worker-runner.js';
import type { SessionSource } from '../session/session-source.js';
import type { HandlerWork } from './handler-work.js';
import { QueueBatch } from './queue-batch.js';
import { QueueClaims } from './queue-claims.js';
import type { QueueHandler } from './queue-handlers.js';
import type { FetchedJob } from './queue-job.js';
import { type FetchPolicy, splitPolicy } from './queue-policy.js';
import type { SessionTransaction } from './session-transaction.js';

type Open<Em extends EntityManager> = (jobs: readonly FetchedJob[]) => QueueBatch<Em>;

/** Runs the handlers of this process: each in as many lanes as it may run jobs at once. */
export class QueueWorkers<Em extends EntityManager> {
  readonly #logger = new Logger('JobQueueModule');
  readonly #source: SessionSource<Em>;
  readonly #moduleRef: ModuleRef;
  readonly #batches = new Set<QueueBatch<Em>>();
  readonly #queues = new Set<string>();
  #boss: PgBoss | undefined;
  #ending: DOMException | undefined;

  constructor(source: SessionSource<Em>, moduleRef: ModuleRef) {
    this.#source = source;
    this.#moduleRef = moduleRef;
  }

  async start(boss: PgBoss, handlers: readonly QueueHandler[]): Promise<void> {
    this.#boss = boss;
    for (const handler of handlers) {
      await this.#startHandler(boss, handler);
    }
  }

  /** Fetches no further job, and gives those that run some milliseconds. What is not done then goes back to its queue. */
  async stop(timeout: number): Promise<void> {
    const boss = this.#boss;
    if (boss === undefined) {
      return;
    }
    const reason = new DOMException('The application is shutting down', 'AbortError');
    this.#ending = reason;
    const idle = Promise.all([...this.#queues].map((queue) => boss.offWork(queue, { wait: true })));
    this.#batches.forEach((batch) => batch.hurry(reason));
    const timer = setTimeout(() => this.#cut(timeout, reason), timeout);
    await idle.finally(() => clearTimeout(timer));
  }

  #cut(timeout: number, reason: unknown): void {
    const count = this.#batches.size;
    this.#logger.warn(
      `The jobs at ${count} handlers did not end within ${timeout} ms of the shutdown, and go back to their queues.`,
    );
    this.#batches.forEach((batch) => batch.cut(reason));
  }

  async #startHandler(boss: PgBoss, { handler, options }: QueueHandler): Promise<void> {
    const { queue, chunkSize = 1, prefetch = 1, localConcurrency } = options;
    const source = this.#source;
    const work = toPieceWork<Em, unknown, unknown>(handler, this.#moduleRef, chunkSize);
    const handlerWork: HandlerWork<Em> = { source, queue, chunkSize, work };
    const claims = new QueueClaims(source, boss, queue);
    const open: Open<Em> = (jobs) => new QueueBatch(handlerWork, claims, jobs);
    const { fetch } = splitPolicy(options);
    const batchSize = chunkSize * prefetch;
    const lanes = await getConcurrency(source.orm, localConcurrency);
    this.#queues.add(queue);
    for (let lane = 0; lane < lanes; lane += 1) {
      await (batchSize === 1
        ? this.#startLane(boss, queue, fetch, open)
        : this.#startBatchLane(boss, queue, { ...fetch, batchSize }, open));
    }
  }

  /** One worker of pg-boss, which fetches again as long as there is something to fetch. */
  async #startLane(boss: PgBoss, queue: string, fetch: FetchPolicy, open: Open<Em>): Promise<void> {
    const policy = { ...fetch, transactional: true, transactionTimeoutSeconds: 0 } as const;
    // The id is known before the first job comes: that takes a query.
    const id: string = await boss.work<unknown, unknown, typeof policy>(queue, policy, async (jobs, transaction) => {
      boss.notifyWorker(id);
      return this.#track(open(jobs), (batch) => batch.runOne(transaction as SessionTransaction));
    });
  }

  /** The same for more than one job at a time. They may end in different ways. */
  async #startBatchLane(
    boss: PgBoss,
    queue: string,
    fetch: FetchPolicy & { readonly batchSize: number },
    open: Open<Em>,
  ): Promise<void> {
    const policy = { ...fetch, perJobResults: true } as const;
    const id: string = await boss.work<unknown, unknown, typeof policy>(queue, policy, async (jobs) => {
      boss.notifyWorker(id);
      const results = await this.#track(open([...jobs]), (batch) => batch.runAll());
      keepUnsettled(jobs, results);
      return results;
    });
  }

  async #track<Result>(batch: QueueBatch<Em>, run: (batch: QueueBatch<Em>) => Promise<Result>): Promise<Result> {
    this.#batches.add(batch);
    if (this.#ending !== undefined) {
      // It was on its way when the end began.
      batch.hurry(this.#ending);
    }
    try {
      return await run(batch);
    } finally {
      this.#batches.delete(batch);
    }
  }
}

/**
 * Leaves to pg-boss the jobs that it has to settle. The others are completed already, in the transaction of their work:
 * it would try once more, with a statement that finds nothing.
 */
function keepUnsettled(jobs: FetchedJob[], results: readonly JobResult[]): void {
  const completed = new Set(results.filter(({ status }) => status === 'completed').map(({ id }) => id));
  jobs.splice(0, jobs.length, ...jobs.filter(({ id }) => !completed.has(id)));
}
