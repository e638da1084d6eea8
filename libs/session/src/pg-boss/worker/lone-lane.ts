import { AsyncLocalStorage } from 'node:async_hooks';

import { Logger } from '@nestjs/common';

import { isTransientError } from '../../jobs/attempt/is-transient-error.js';
import type { LoneTurns } from './lone-turns.js';
import type { LostJob, LostJobs } from './lost-jobs.js';

/** How long a job that was called in is waited for: another process may have fetched it. */
const IDLE_MS = 200;

/**
 * How long jobs are set aside at least. When this process dies of one of them, it takes as long until others get the rest.
 */
const ASIDE_SECONDS = 5;

/** About as many small jobs are run one by one. Of more, those that wait are fetched and set aside less often. */
const JOBS_PER_SECOND = 100;

export interface LoneLaneOptions {
  readonly lost: LostJobs;
  readonly turns: LoneTurns;
  /** Aborts when the application shuts down. */
  readonly ending: AbortSignal;
  /** Starts a lane that runs one job at a time, and tells of each. */
  readonly start: (events: LoneEvents) => Promise<OpenLane>;
}

interface LoneEvents {
  /** Called before a job runs. */
  onBegin(): Promise<void>;
  /** Called when it has ended. */
  onEnd(): void;
}

interface OpenLane {
  fetch(): void;
  stop(): Promise<void>;
}

/**
 * The lane of a queue for the jobs that may have ended their process. They wait aside, where the other lanes do not meet
 * them, and are called in one by one. It is there as long as there are such jobs.
 */
export class LoneLane {
  readonly #options: LoneLaneOptions;
  readonly #logger = new Logger('JobQueueModule');
  /** Its jobs are of no batch, whichever asks for it. */
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
   * Takes jobs that were not begun.
   *
   * @returns those that cannot be set aside
   */
  async take<Job extends LostJob>(jobs: readonly Job[]): Promise<readonly Job[]> {
    const seconds = ASIDE_SECONDS + (this.#waiting.size + jobs.length) / JOBS_PER_SECOND;
    const kept = await this.#options.lost.setAside(jobs, seconds);
    for (const job of jobs.filter((one) => !kept.includes(one))) {
      this.#waiting.set(job.id, job);
      if (job.id === this.#called) {
        // Another lane was faster.
        this.#goOn();
      }
    }
    this.#open();
    return kept;
  }

  /** Opens the lane, when those of other queues are closed. */
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

  /** The jobs that wait come back by themselves. */
  #report(error: unknown): void {
    if (isTransientError(error)) {
      this.#logger.warn(`The lane for jobs that run alone lost a connection: ${String(error)}`);
    } else {
      this.#logger.error('The lane for jobs that run alone failed', error);
    }
  }
}
