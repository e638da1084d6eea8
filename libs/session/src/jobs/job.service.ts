import type { EntityManager } from '@mikro-orm/core';
import type { BeforeApplicationShutdown } from '@nestjs/common';
import type { ModuleRef } from '@nestjs/core';

import type { BeginOptions, SessionSource } from '../session/session-source.js';
import { getConcurrency } from './concurrency.js';
import { JobError } from './job-error.js';
import type { JobOptions } from './job-options.js';
import type { JobOutcome } from './job-outcome.js';
import { JobRun } from './job-run.js';
import type { Worker } from './job-worker.js';
import { toJobFunction } from './worker-runner.js';

/**
 * Runs work on many inputs in parallel, each job in a task, scope, session and transaction of its own: SQLAlchemy's
 * `pool.map(thread_worker, inputs)`. `Em` is the EntityManager type of your driver.
 */
export class JobService<Em extends EntityManager = EntityManager> implements BeforeApplicationShutdown {
  readonly #source: SessionSource<Em>;
  readonly #moduleRef: ModuleRef;
  readonly #defaults: JobOptions;
  readonly #shutdown = new AbortController();
  readonly #running = new Set<Promise<unknown>>();

  constructor(source: SessionSource<Em>, moduleRef: ModuleRef, defaults: JobOptions = {}) {
    this.#source = source;
    this.#moduleRef = moduleRef;
    this.#defaults = defaults;
  }

  /**
   * Gives the results in the order of the inputs. Waits for every job that began, also when one fails.
   *
   * @throws {AggregateError} of one JobError per job that failed, in the order of the inputs
   *
   * @example
   * const squares = await jobs.map([1, 2, 3], (session, n) => n * n);
   */
  async map<Input, Result>(
    inputs: Iterable<Input>,
    worker: Worker<Em, Input, Result>,
    options: JobOptions = {},
  ): Promise<Result[]> {
    const outcomes = await this.settle(inputs, worker, options);
    const label = this.#label(worker, options);
    const failures: JobError[] = [];
    const results: Result[] = [];
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') {
        results.push(outcome.value);
      } else {
        const { index, input, reason } = outcome;
        failures.push(new JobError(index, input, `Job ${index} of ${label}`, reason));
      }
    }
    if (failures.length > 0) {
      throw new AggregateError(failures, `${failures.length} of ${outcomes.length} jobs of ${label} failed`);
    }
    return results;
  }

  /**
   * Gives one outcome per input, in the order of the inputs, whatever becomes of the jobs.
   *
   * @throws {TypeError} for wrong options, before a job begins
   */
  async settle<Input, Result>(
    inputs: Iterable<Input>,
    worker: Worker<Em, Input, Result>,
    options: JobOptions = {},
  ): Promise<JobOutcome<Input, Result>[]> {
    const { concurrency, transaction = 'job', ...rest } = { ...this.#defaults, ...options };
    const run = new JobRun({
      ...rest,
      info: { ...this.#defaults.info, ...this.#source.currentScope?.info, ...options.info },
      source: this.#source,
      inputs,
      work: toJobFunction(worker, this.#moduleRef),
      label: this.#label(worker, options),
      transaction: toBeginOptions(transaction),
      signal: rest.signal === undefined ? this.#shutdown.signal : AbortSignal.any([this.#shutdown.signal, rest.signal]),
    });
    const lanes = await getConcurrency(this.#source.orm, concurrency);
    return this.#track(run.settle(lanes));
  }

  /** Starts no further job and waits for those that run, while the database can still be reached. */
  async beforeApplicationShutdown(): Promise<void> {
    this.#shutdown.abort(new DOMException('The application is shutting down', 'AbortError'));
    await Promise.allSettled(this.#running);
  }

  #label(worker: { readonly name: string }, { label }: JobOptions): string {
    return label ?? this.#defaults.label ?? (worker.name === '' ? 'worker' : worker.name);
  }

  async #track<Result>(run: Promise<Result>): Promise<Result> {
    this.#running.add(run);
    try {
      return await run;
    } finally {
      this.#running.delete(run);
    }
  }
}

function toBeginOptions(transaction: 'job' | 'none' | BeginOptions): BeginOptions | undefined {
  switch (transaction) {
    case 'job':
      return {};
    case 'none':
      return undefined;
    default:
      return transaction;
  }
}
