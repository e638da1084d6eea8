import type { EntityManager } from '@mikro-orm/core';
import { Logger } from '@nestjs/common';
import type { ModuleRef } from '@nestjs/core';
import type { PgBoss } from 'pg-boss';

import { createShutdownReason } from '../../jobs/create-shutdown-reason.js';
import { getConcurrency } from '../../jobs/run/get-concurrency.js';
import { toChunkWork } from '../../jobs/attempt/to-chunk-work.js';
import type { SessionSource } from '../../session/session-source.js';
import { largestOf } from './group-limit.js';
import { HandlerLanes } from './handler-lanes.js';
import { HandlerTransaction } from './handler-transaction.js';
import { LoneTurns } from './lone-turns.js';
import { LostJobs } from './lost-jobs.js';
import { type HandlerWork, QueueBatch, type QueueFailure } from './queue-batch.js';
import { QueueClaims } from './queue-claims.js';
import type { QueueHandler } from './find-handlers.js';
import { splitPolicy } from '../queue-policy.js';

/** Runs the handlers of this process, each in as many lanes as it may run jobs at once. */
export class QueueWorkers<Em extends EntityManager> {
  readonly #logger = new Logger('JobQueueModule');
  readonly #source: SessionSource<Em>;
  readonly #moduleRef: ModuleRef;
  readonly #handlers: HandlerLanes[] = [];
  readonly #batches = new Set<QueueBatch<Em>>();
  readonly #turns = new LoneTurns();
  readonly #ending = new AbortController();

  constructor(source: SessionSource<Em>, moduleRef: ModuleRef) {
    this.#source = source;
    this.#moduleRef = moduleRef;
  }

  /** @param schema the schema of the tables of pg-boss */
  async start(boss: PgBoss, schema: string, handlers: readonly QueueHandler[]): Promise<void> {
    for (const handler of handlers) {
      const lost = new LostJobs(boss, schema, handler.options.queue);
      await this.#startHandler(boss, lost, handler);
    }
  }

  /**
   * Fetches no further job, and gives the running jobs some milliseconds. Unfinished jobs then go back to their queue.
   */
  async stop(timeout: number): Promise<void> {
    const reason = createShutdownReason();
    this.#ending.abort(reason);
    const idle = Promise.all(this.#handlers.map((handler) => handler.stop()));
    this.#batches.forEach((batch) => batch.drain(reason));
    const timer = setTimeout(() => this.#cancel(timeout, reason), timeout);
    await idle.finally(() => clearTimeout(timer));
  }

  /** Returns the work of the batches of a handler. */
  workOf(queueHandler: QueueHandler): HandlerWork<Em> {
    const { handler, options } = queueHandler;
    const { queue, chunkSize = 1, input } = options;
    const transaction = new HandlerTransaction(queueHandler, this.#source.transactionDefaults);
    const work = toChunkWork<Em, unknown, unknown>(handler, this.#moduleRef, chunkSize);
    return { source: this.#source, queue, chunkSize, input, transaction, work };
  }

  #cancel(timeout: number, reason: unknown): void {
    const count = this.#batches.size;
    this.#logger.warn(
      `${count} jobs or chunks did not end within ${timeout} ms of the shutdown, and go back to their queues.`,
    );
    this.#batches.forEach((batch) => batch.cancel(reason));
  }

  async #startHandler(boss: PgBoss, lost: LostJobs, handler: QueueHandler): Promise<void> {
    const { options } = handler;
    const { fetch } = splitPolicy(options);
    const { queue, chunkSize = 1, prefetch = 1, localConcurrency, metadata = false } = options;
    const claims = new QueueClaims(boss, queue);
    const work = this.workOf(handler);
    const count = await getConcurrency(this.#source.orm, localConcurrency);
    assertGroupLimit(handler, count);
    if (work.transaction.hasSnapshot) {
      work.transaction.assertFits((await boss.getQueue(queue))?.heartbeatSeconds);
    }
    const lanes = new HandlerLanes({
      boss,
      queue,
      lost,
      fetch,
      metadata,
      batchSize: chunkSize * prefetch,
      lanes: count,
      turns: this.#turns,
      ending: this.#ending.signal,
      run: (jobs) => this.#track(new QueueBatch(work, claims, jobs)),
    });
    this.#handlers.push(lanes);
    await lanes.start();
  }

  async #track(batch: QueueBatch<Em>): Promise<readonly QueueFailure[]> {
    this.#batches.add(batch);
    const { signal } = this.#ending;
    if (signal.aborted) {
      // This batch was being fetched when the shutdown began.
      batch.drain(signal.reason);
    }
    try {
      return await batch.run();
    } finally {
      this.#batches.delete(batch);
    }
  }
}

/** @throws {TypeError} for a group that could have more jobs at once than there are lanes */
function assertGroupLimit({ handler, options: { localGroupConcurrency } }: QueueHandler, lanes: number): void {
  const most = largestOf(localGroupConcurrency);
  if (most > lanes) {
    throw new TypeError(
      `Expected \`localGroupConcurrency\` of @JobHandler() on "${handler.name}" to be at most the \`localConcurrency\` ` +
        `of ${lanes}, got ${most}.`,
    );
  }
}
