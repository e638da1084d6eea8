import type { EntityManager } from '@mikro-orm/core';
import { Logger } from '@nestjs/common';
import type { ModuleRef } from '@nestjs/core';
import type { PgBoss } from 'pg-boss';

import { getConcurrency } from '../jobs/concurrency.js';
import { toPieceWork } from '../jobs/worker-runner.js';
import type { SessionSource } from '../session/session-source.js';
import { QueueBatch } from './queue-batch.js';
import { QueueClaims } from './queue-claims.js';
import type { QueueHandler } from './queue-handlers.js';
import type { FetchedJob } from './queue-job.js';
import { type JobHandlerOptions, splitPolicy } from './queue-policy.js';
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
    const work = toPieceWork<Em, unknown, unknown>(handler, this.#moduleRef, chunkSize);
    const claims = new QueueClaims(this.#source, boss, queue);
    const lanes = await getConcurrency(this.#source.orm, localConcurrency);
    const open = (jobs: readonly FetchedJob[]): QueueBatch<Em> =>
      new QueueBatch({ source: this.#source, queue, chunkSize, work }, claims, jobs);
    this.#queues.add(queue);
    for (let lane = 0; lane < lanes; lane += 1) {
      await (chunkSize * prefetch === 1
        ? this.#startLane(boss, options, open)
        : this.#startBatchLane(boss, options, chunkSize * prefetch, open));
    }
  }

  /** One worker of pg-boss, which fetches again as long as there is something to fetch. */
  async #startLane(boss: PgBoss, options: JobHandlerOptions, open: Open<Em>): Promise<void> {
    const { fetch } = splitPolicy(options);
    const policy = { ...fetch, transactional: true, transactionTimeoutSeconds: 0 } as const;
    // The id is known before the first job comes: that takes a query.
    const id: string = await boss.work<unknown, unknown, typeof policy>(
      options.queue,
      policy,
      async (jobs, transaction) => {
        boss.notifyWorker(id);
        return this.#track(open(jobs), (batch) => batch.runOne(transaction as SessionTransaction));
      },
    );
  }

  /** The same for more than one job at a time. They may end in different ways. */
  async #startBatchLane(boss: PgBoss, options: JobHandlerOptions, batchSize: number, open: Open<Em>): Promise<void> {
    const { fetch } = splitPolicy(options);
    const policy = { ...fetch, batchSize, perJobResults: true } as const;
    const id: string = await boss.work<unknown, unknown, typeof policy>(options.queue, policy, async (jobs) => {
      boss.notifyWorker(id);
      return this.#track(open(jobs), (batch) => batch.runAll());
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
