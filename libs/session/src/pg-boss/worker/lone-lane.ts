import { AsyncLocalStorage } from 'node:async_hooks';

import { Logger } from '@nestjs/common';

import { isTransientError } from '../../jobs/attempt/is-transient-error.js';
import type { LoneTurns } from './lone-turns.js';
import type { LostJob, LostJobs } from './lost-jobs.js';

/** Milliseconds to wait for a job that was called in: another process may have fetched it. */
const IDLE_MS = 200;

/**
 * Seconds that jobs are set aside at least. When this process ends because of one of them, others get the rest only
 * after that time.
 */
const ASIDE_SECONDS = 5;

/**
 * The approximate number of small jobs that run one by one in a second. With more jobs, those that wait are set aside
 * for longer.
 */
const JOBS_PER_SECOND = 100;

export interface LoneLaneOptions {
  readonly lost: LostJobs;
  readonly turns: LoneTurns;
  /** Aborts when the application shuts down. */
  readonly ending: AbortSignal;
  /** Starts a lane that runs one job at a time, and reports each. */
  readonly start: (events: LoneEvents) => Promise<OpenLane>;
}

interface LoneEvents {
  /** Called before a job runs. */
  onBegin(): Promise<void>;
  /** Called when the job has ended. */
  onEnd(): void;
}

interface OpenLane {
  fetch(): void;
  stop(): Promise<void>;
}

/**
 * The lane of a queue for jobs that may have ended their process. Such jobs are set aside, so that the other lanes do
 * not fetch them, and are called in one by one. The lane exists as long as there are such jobs.
 */
export class LoneLane {
  readonly #options: LoneLaneOptions;
  readonly #logger = new Logger('JobQueueModule');
  /** The jobs of this lane must not run in the context of a batch. */
  readonly #outside = AsyncLocalStorage.snapshot();
  readonly #waiting = new Map<string, LostJob>();
  #isOpen = false;
  #isRunning = false;
  /** The job that was called in, until it runs. */
  #called: string | undefined;
  #goOn: () => void = () => undefined;
  /** Resolves when the lane is closed. */
  closed: Promise<void> = Promise.resolve();

  constructor(options: LoneLaneOptions) {
    this.#options = options;
    options.ending.addEventListener('abort', () => this.#goOn(), { once: true });
  }

  /**
   * Takes over jobs that have not begun.
   *
   * @returns the jobs that cannot be set aside
   */
  async take<Job extends LostJob>(jobs: readonly Job[]): Promise<readonly Job[]> {
    const seconds = ASIDE_SECONDS + (this.#waiting.size + jobs.length) / JOBS_PER_SECOND;
    const kept = await this.#options.lost.setAside(jobs, seconds);
    for (const job of jobs.filter((one) => !kept.includes(one))) {
      this.#waiting.set(job.id, job);
      if (job.id === this.#called) {
        // Another lane has opened it already.
        this.#goOn();
      }
    }
    this.#open();
    return kept;
  }

  /** Opens the lane when the lone lanes of other queues are closed. */
  #open(): void {
    if (this.#isOpen) {
      return;
    }
    this.#isOpen = true;
    this.closed = this.#outside(() => this.#options.turns.take(() => this.#run())).catch((error: unknown) => {
      this.#isOpen = false;
      this.#report(error);
    });
  }

  async #run(): Promise<void> {
    const { ending, lost } = this.#options;
    while (this.#waiting.size > 0 && !ending.aborted) {
      await this.#runAll();
    }
    this.#isOpen = false;
    if (this.#waiting.size > 0) {
      await lost.callIn([...this.#waiting.values()]);
      this.#waiting.clear();
    }
  }

  async #runAll(): Promise<void> {
    const { ending, lost, turns, start } = this.#options;
    const lane = await start({
      onBegin: () => {
        this.#isRunning = true;
        this.#called = undefined;
        return turns.untilReturned();
      },
      onEnd: () => {
        this.#isRunning = false;
        this.#goOn();
      },
    });
    try {
      for (const [id, job] of this.#waiting) {
        if (ending.aborted) {
          break;
        }
        this.#waiting.delete(id);
        if (await lost.callIn([job])) {
          await this.#runNext(lane, id);
        }
      }
    } finally {
      await lane.stop();
    }
  }

  async #runNext(lane: OpenLane, called: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#goOn = resolve;
    this.#called = called;
    const idle = setTimeout(() => {
      if (!this.#isRunning) {
        resolve();
      }
    }, IDLE_MS);
    lane.fetch();
    await promise;
    clearTimeout(idle);
  }

  /** Only logs: the jobs that are set aside come back to their queue by themselves. */
  #report(error: unknown): void {
    if (isTransientError(error)) {
      this.#logger.warn(`The lane for jobs that run alone lost a connection: ${String(error)}`);
    } else {
      this.#logger.error('The lane for jobs that run alone failed', error);
    }
  }
}
