import type { EntityManager } from '@mikro-orm/core';
import type { BeforeApplicationShutdown } from '@nestjs/common';
import type { ModuleRef } from '@nestjs/core';

import { createShutdownReason } from './create-shutdown-reason.js';
import type { BeginOptions } from '../session/transaction/begin-options.js';
import type { SessionSource } from '../session/session-source.js';
import type { SessionEntityManager } from '../session/session-types.js';
import { getConcurrency } from './run/get-concurrency.js';
import { assertIterable } from './run/input-source.js';
import { JobError } from './job-error.js';
import { assertJobOptions, assertJobStreamOptions } from './assert-job-options.js';
import type { JobOptions, JobStreamOptions } from './job-options.js';
import type { JobOutcome } from './job-outcome.js';
import { JobAttempts } from './attempt/job-attempts.js';
import { JobRun } from './run/job-run.js';
import type { AnyWorker } from './job-worker.js';
import type { ChunkRunner } from './run/job-chunks.js';
import { RunSignals } from './run/run-signals.js';
import type { RunWatch } from './run/run-watch.js';
import type { JobThreads } from './threads/job-threads.js';
import type { RunSetup } from './threads/thread-request.js';
import { ThreadRunner } from './threads/thread-runner.js';
import { assertWorkerClass, toChunkWork } from './attempt/to-chunk-work.js';

export interface JobServiceOptions<Em extends EntityManager> {
  readonly source: SessionSource<Em>;
  readonly moduleRef: ModuleRef;
  /** Undefined in a worker thread: its jobs run in that thread. */
  readonly threads: JobThreads | undefined;
  readonly defaults?: JobOptions | undefined;
  readonly watch: RunWatch;
}

/** The options of all jobs of a run, in this thread or in others. */
type Setup = Omit<RunSetup, 'worker' | 'hasSignal'>;

/**
 * Runs a worker on many inputs in parallel. Each job has a task, scope, session and transaction of its own, as in
 * SQLAlchemy's `pool.map(thread_worker, inputs)`. A worker is a function, or a class among the providers of the
 * application. `Em` is the EntityManager of your driver: see SessionTypes.
 *
 * @example
 * @Injectable()
 * class SquareWorker implements JobWorker<number, number> {
 *   constructor(@InjectSession() private readonly session: EntityManager) {}
 *
 *   handle(n: number, job: JobContext): number {
 *     this.session.create(Square, { n, square: n * n });
 *     return n * n;
 *   }
 * }
 *
 * const squares = await jobs.map([1, 2, 3], SquareWorker, { concurrency: 8 });
 */
export class JobService<Em extends EntityManager = SessionEntityManager> implements BeforeApplicationShutdown {
  static {
    // NestJS shows this name in its error when no module provides the class.
    Object.defineProperty(this, 'name', { value: 'JobService (of SessionModule.forRoot())' });
  }

  readonly #source: SessionSource<Em>;
  readonly #moduleRef: ModuleRef;
  readonly #defaults: JobOptions;
  readonly #threads: JobThreads | undefined;
  readonly #watch: RunWatch;
  readonly #shutdown = new AbortController();
  readonly #running = new Set<Promise<unknown>>();

  constructor({ source, moduleRef, threads, defaults = {}, watch }: JobServiceOptions<Em>) {
    assertJobOptions(defaults);
    this.#source = source;
    this.#moduleRef = moduleRef;
    this.#defaults = defaults;
    this.#threads = threads;
    this.#watch = watch;
  }

  /**
   * Returns the results in the order of the inputs. Waits for every job that began, even when one fails.
   *
   * @throws {AggregateError} of one JobError per job that failed, in the order of the inputs
   *
   * @example
   * const squares = await jobs.map([1, 2, 3], (session, n) => n * n);
   */
  async map<Input, Result>(
    inputs: Iterable<Input> | AsyncIterable<Input>,
    worker: AnyWorker<Em, Input, Result>,
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
   * Returns one outcome per input, in the order of the inputs, also for failed jobs. Inputs whose number is not known
   * in advance may never end: they are not read any further when the jobs are aborted or stopped.
   *
   * @throws {TypeError} for wrong options, before a job begins
   * @throws the reason of the signal that ended the reading of such inputs, or the error of the inputs, after the end
   * of all jobs that began
   */
  async settle<Input, Result>(
    inputs: Iterable<Input> | AsyncIterable<Input>,
    worker: AnyWorker<Em, Input, Result>,
    options: JobOptions = {},
  ): Promise<JobOutcome<Input, Result>[]> {
    const chosen = { ...this.#defaults, ...options };
    assertJobOptions(chosen);
    return this.#createRun(inputs, worker, chosen).settle();
  }

  /**
   * Returns the outcomes while the jobs run, for any number of inputs in constant memory. At most `window` inputs are
   * read ahead, so that a slow reader, or one slow job, makes the others wait. Nothing begins before the first outcome
   * is asked for. A `break` in the `for await` starts no further job, waits for the running jobs and closes the inputs.
   *
   * @throws {TypeError} at once, for wrong options
   * @throws the error of the inputs, or the reason of the signal that ended their reading, after the outcomes of all
   * jobs that began
   *
   * @example
   * for await (const outcome of jobs.stream(orders(), ShipOrder, { concurrency: 8 })) { ... }
   */
  stream<Input, Result>(
    inputs: Iterable<Input> | AsyncIterable<Input>,
    worker: AnyWorker<Em, Input, Result>,
    options: JobStreamOptions = {},
  ): AsyncGenerator<JobOutcome<Input, Result>, void, undefined> {
    const chosen: JobStreamOptions = { ...this.#defaults, ...options };
    assertJobStreamOptions(chosen);
    return this.#createRun(inputs, worker, chosen).stream({
      order: chosen.order ?? 'input',
      window: chosen.window,
    });
  }

  /** Starts no further job, and waits for the running jobs while the database can still be reached. */
  async beforeApplicationShutdown(): Promise<void> {
    this.#shutdown.abort(createShutdownReason());
    await Promise.allSettled(this.#running);
    await this.#threads?.close();
  }

  #label(worker: { readonly name: string }, { label }: JobOptions): string {
    return label ?? this.#defaults.label ?? (worker.name === '' ? 'worker' : worker.name);
  }

  #createRun<Input, Result>(
    inputs: Iterable<Input> | AsyncIterable<Input>,
    worker: AnyWorker<Em, Input, Result>,
    options: JobOptions,
  ): JobRun<Input, Result> {
    assertIterable(inputs);
    const { transaction = 'job', chunkSize = 1, signal, whenAborted = 'cancel' } = options;
    const own = options.info === this.#defaults.info ? undefined : options.info;
    const setup: Setup = {
      label: this.#label(worker, options),
      info: { ...this.#defaults.info, ...this.#source.currentScope?.portableInfo, ...own },
      transaction: toBeginOptions(transaction),
      timeout: options.timeout === Infinity ? undefined : options.timeout,
      chunkSize,
      whenAborted,
    };
    const signals = new RunSignals({ ...setup, shutdown: this.#shutdown.signal, signal });
    return new JobRun({
      ...options,
      inputs,
      runner: this.#createRunner(worker, options, setup, signals),
      chunkSize,
      label: setup.label,
      signals,
      watch: this.#watch,
      track: (jobs) => this.#track(jobs),
    });
  }

  #createRunner<Input, Result>(
    worker: AnyWorker<Em, Input, Result>,
    { signal, concurrency, threads = 0 }: JobOptions,
    setup: Setup,
    signals: RunSignals,
  ): ChunkRunner<Input, Result> {
    if (threads > 0) {
      assertWorkerClass(worker);
    }
    if (threads > 0 && this.#threads !== undefined) {
      return new ThreadRunner({
        threads: this.#threads,
        wanted: threads,
        concurrency,
        setup: { ...setup, worker: worker.name, hasSignal: signal !== undefined },
        signals,
        signal,
        shutdown: this.#shutdown.signal,
      });
    }
    const source = this.#source;
    const work = toChunkWork(worker, this.#moduleRef, setup.chunkSize);
    const attempts = new JobAttempts({ ...setup, source, startedIn: source.currentScope, work, signals });
    return {
      open: () => getConcurrency(source.orm, concurrency),
      run: (chunk, number) => attempts.run(chunk, number),
      close: () => undefined,
    };
  }

  #track(jobs: Promise<void>): void {
    this.#running.add(jobs);
    void jobs.then(() => this.#running.delete(jobs));
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
