import type { EntityManager } from '@mikro-orm/core';
import type { Db, FetchOptions, PgBoss } from 'pg-boss';

import { toFailureOutput } from '../../pg-boss/message/failure-output.js';
import { onConnectionOf } from '../../pg-boss/find-open-transaction.js';
import { type FetchedJob, QueueJob } from '../../pg-boss/queue-job.js';
import { type FetchPolicy, splitPolicy } from '../../pg-boss/queue-policy.js';
import { isDeadLetter } from '../../pg-boss/job-dead-letter-error.js';
import { type HandlerWork, QueueBatch, type QueueFailure } from '../../pg-boss/worker/queue-batch.js';
import { QueueClaims } from '../../pg-boss/worker/queue-claims.js';
import type { QueueHandler } from '../../pg-boss/worker/find-handlers.js';
import type { DrainedAttempt, LeftJob } from './drained.js';
import { TestJobs } from './test-jobs.js';

export interface QueueDrainOptions {
  readonly boss: PgBoss;
  /** The schema of the tables of pg-boss. */
  readonly schema: string;
  readonly handler: QueueHandler;
  readonly work: HandlerWork<EntityManager>;
  readonly ignoreStartAfter: boolean;
  /** Aborts when the test ends. */
  readonly ending: AbortSignal;
  /** Runs work outside of the context of the test, as a worker does. */
  readonly outside: <Result>(work: () => Result) => Result;
}

/** Runs the jobs of one queue that were sent in the test, as a worker with one lane would. */
export class QueueDrain {
  readonly #options: QueueDrainOptions;
  readonly #queue: string;
  readonly #db: Db;
  readonly #jobs: TestJobs;
  readonly #claims: QueueClaims;

  constructor(options: QueueDrainOptions) {
    const { boss, schema, work } = options;
    this.#options = options;
    this.#queue = work.queue;
    this.#db = onConnectionOf(work.source);
    this.#jobs = new TestJobs(this.#db, schema, work.queue);
    this.#claims = new QueueClaims(boss, work.queue);
  }

  /** Runs the jobs that can run now, until none is left or `take` throws. */
  async run(take: (attempt: DrainedAttempt) => void): Promise<void> {
    await this.#jobs.keepOthersAway();
    for (let jobs = await this.#fetch(); jobs.length > 0; jobs = await this.#fetch()) {
      const attempts = await this.#runTogether(jobs);
      attempts.forEach((attempt) => take(attempt));
    }
  }

  findLeft(): Promise<readonly LeftJob[]> {
    return this.#jobs.findLeft();
  }

  async #fetch(): Promise<Omit<FetchedJob, 'signal'>[]> {
    const { boss, handler, ignoreStartAfter, ending } = this.#options;
    ending.throwIfAborted();
    const { chunkSize = 1, prefetch = 1, metadata = false } = handler.options;
    return boss.fetch<unknown>(this.#queue, {
      ...selectFetchOptions(splitPolicy(handler.options).fetch),
      ignoreStartAfter,
      includeMetadata: metadata,
      batchSize: chunkSize * prefetch,
      db: this.#db,
    });
  }

  async #runTogether(fetched: readonly Omit<FetchedJob, 'signal'>[]): Promise<DrainedAttempt[]> {
    const { work, ending, outside } = this.#options;
    const expiry = new AbortController();
    const seconds = Math.max(...fetched.map(({ expireInSeconds }) => expireInSeconds));
    const timer = setTimeout(
      () => expiry.abort(new Error(`handler execution exceeded ${seconds}s`)),
      Math.max(seconds, 1) * 1_000,
    );
    const signal = AbortSignal.any([expiry.signal, ending]);
    const batch = new QueueBatch(
      work,
      this.#claims,
      fetched.map((job) => ({ ...job, signal })),
    );
    let failures: readonly QueueFailure[];
    try {
      failures = await outside(() => batch.run());
    } finally {
      clearTimeout(timer);
    }
    ending.throwIfAborted();
    return this.#settle(fetched, batch, failures);
  }

  async #settle(
    fetched: readonly Omit<FetchedJob, 'signal'>[],
    batch: QueueBatch<EntityManager>,
    failures: readonly QueueFailure[],
  ): Promise<DrainedAttempt[]> {
    const byId = new Map(fetched.map((job) => [job.id, job]));
    const describe = (id: string) => describeJob(byId.get(id) as FetchedJob);
    const done = batch.outcomes.flatMap((outcome): DrainedAttempt[] =>
      outcome.status === 'fulfilled'
        ? [{ ...describe(outcome.input.id), status: 'fulfilled', value: outcome.value }]
        : [],
    );
    if (failures.length === 0) {
      return done;
    }
    await this.#jobs.endRetries(failures.filter(({ reason }) => isDeadLetter(reason)).map(({ id }) => id));
    for (const { id, reason } of failures) {
      const { retryCount } = byId.get(id) as FetchedJob;
      await this.#options.boss.fail(this.#queue, [{ id, retryCount }], toFailureOutput(reason), { db: this.#db });
    }
    const next = await this.#jobs.findNext(failures.map(({ id }) => id));
    const failed = failures.map(({ id, reason }): DrainedAttempt => ({
      ...describe(id),
      status: 'rejected',
      reason,
      next: next.get(id) ?? 'none',
    }));
    return [...done, ...failed];
  }
}

/** Returns the options that say which jobs are fetched. The options that say how often are left out. */
function selectFetchOptions({ minPriority, maxPriority, groupConcurrency }: FetchPolicy): FetchOptions {
  return {
    ...(minPriority !== undefined && { minPriority }),
    ...(maxPriority !== undefined && { maxPriority }),
    ...(groupConcurrency !== undefined && { groupConcurrency }),
  };
}

function describeJob(job: FetchedJob): Pick<DrainedAttempt, 'queue' | 'id' | 'attempt' | 'input'> {
  const { name: queue, id, retryCount } = job;
  return { queue, id, attempt: retryCount + 1, input: readInput(job) };
}

function readInput(job: FetchedJob): unknown {
  const { data } = job;
  return typeof data === 'object' && data !== null && 'input' in data ? new QueueJob(job).input : undefined;
}
