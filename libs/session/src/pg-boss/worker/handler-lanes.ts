import type { JobResult, PgBoss } from 'pg-boss';

import { isDeadLetter } from '../job-dead-letter-error.js';
import { toFailure, toFailureOutput } from '../message/failure-output.js';
import { largestOf, limitedToOne, groupLimit } from './group-limit.js';
import { LoneLane } from './lone-lane.js';
import type { LoneTurns } from './lone-turns.js';
import type { LostJobs } from './lost-jobs.js';
import type { QueueFailure } from './queue-batch.js';
import type { FetchedJob } from '../queue-job.js';
import type { FetchPolicy } from '../queue-policy.js';

/** Seconds between two fetches of a queue. Jobs of a retry, a flow or a dead letter send no notification. */
const POLLING_SECONDS = 2;

export interface HandlerLanesOptions {
  readonly boss: PgBoss;
  readonly queue: string;
  readonly lost: LostJobs;
  readonly fetch: FetchPolicy;
  /** Whether the jobs have their metadata. */
  readonly metadata: boolean;
  /** The number of jobs that a lane fetches at once. */
  readonly batchSize: number;
  readonly lanes: number;
  readonly turns: LoneTurns;
  readonly ending: AbortSignal;
  /** Runs jobs, and returns the failures. */
  readonly run: (jobs: readonly FetchedJob[]) => Promise<readonly QueueFailure[]>;
}

type HandleBatch = (jobs: FetchedJob[]) => Promise<JobResult[]>;

/** The lanes in which a process runs the jobs of one handler. Each is a worker of pg-boss. */
export class HandlerLanes {
  readonly #options: HandlerLanesOptions;
  readonly #ids: string[] = [];
  readonly #busy = new Set<number>();
  readonly #lone: LoneLane;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: HandlerLanesOptions) {
    this.#options = options;
    const { boss, queue, lost, turns, ending } = options;
    this.#lone = new LoneLane({
      lost,
      turns,
      ending,
      start: async ({ onBegin, onEnd }) => {
        const id = await this.#work(1, async (jobs) => {
          await onBegin();
          return this.#settle(jobs).finally(onEnd);
        });
        await this.#setGroupLimit();
        return { fetch: () => boss.notifyWorker(id), stop: () => boss.offWork(queue, { id, wait: true }) };
      },
    });
  }

  async start(): Promise<void> {
    const { fetch, lanes, batchSize } = this.#options;
    for (let lane = 0; lane < lanes; lane += 1) {
      this.#ids.push(await this.#work(batchSize, (jobs) => this.#runIn(lane, jobs)));
    }
    await this.#setGroupLimit();
    if (fetch.notifyPollingIntervalSeconds === undefined) {
      const seconds = fetch.pollingIntervalSeconds ?? POLLING_SECONDS;
      this.#timer = setInterval(() => this.#wakeIdle(), seconds * 1_000).unref();
    }
  }

  /** Fetches no more jobs, and waits for the running ones. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#options.boss.offWork(this.#options.queue, { wait: true });
    await this.#lone.closed;
  }

  #work(batchSize: number, handle: HandleBatch): Promise<string> {
    const { boss, queue, fetch, metadata } = this.#options;
    const policy = { ...limitedToOne(fetch), batchSize, perJobResults: true, includeMetadata: metadata } as const;
    return boss.work<unknown, unknown, typeof policy>(queue, policy, handle);
  }

  /** Sets the limit of groups for all lanes: pg-boss keeps one for each queue, that of the last `work()`. */
  async #setGroupLimit(): Promise<void> {
    const { boss, queue, fetch, metadata } = this.#options;
    if (largestOf(fetch.localGroupConcurrency) === 1) {
      return;
    }
    // Seam: pg-boss/group-limit
    const policy = { ...groupLimit(fetch), perJobResults: true, includeMetadata: metadata } as const;
    const id = await boss.work<unknown, unknown, typeof policy>(queue, policy, (jobs) => this.#runNew(jobs));
    await boss.offWork(queue, { id, wait: true });
  }

  async #runNew(jobs: FetchedJob[]): Promise<JobResult[]> {
    await this.#options.turns.follow(this.#setLostAside(jobs));
    return this.#settle(jobs);
  }

  async #runIn(lane: number, jobs: FetchedJob[]): Promise<JobResult[]> {
    // A full fetch means that there may be more jobs: for this lane when it is done, and for the next lane.
    this.#wake(lane);
    this.#wake((lane + 1) % this.#ids.length);
    this.#busy.add(lane);
    try {
      return await this.#runNew(jobs);
    } finally {
      this.#busy.delete(lane);
    }
  }

  /** Passes the jobs that have to run alone to the lone lane. */
  async #setLostAside(jobs: FetchedJob[]): Promise<void> {
    const lost = await this.#options.lost.find(jobs);
    if (lost.size > 0) {
      const kept = await this.#lone.take([...lost]);
      keep(jobs, (job) => !lost.has(job) || kept.includes(job));
    }
  }

  /** Runs jobs, and returns the failed ones to pg-boss. The others were completed in the transaction of their work. */
  async #settle(jobs: FetchedJob[]): Promise<JobResult[]> {
    if (jobs.length === 0) {
      return [];
    }
    const failures = await this.#options.run([...jobs]);
    const [failure] = failures;
    if (failure !== undefined && jobs.length === 1 && !isDeadLetter(failure.reason)) {
      // Thrown, so that the span of the job shows the failure.
      throw toFailure(failure.reason);
    }
    const failed = new Set(failures.map(({ id }) => id));
    keep(jobs, ({ id }) => failed.has(id));
    return failures.map(({ id, reason }): JobResult => {
      const status = isDeadLetter(reason) ? 'deadletter' : 'failed';
      return { id, status, output: toFailureOutput(reason) };
    });
  }

  #wake(lane: number): void {
    const id = this.#ids[lane];
    if (id !== undefined) {
      this.#options.boss.notifyWorker(id);
    }
  }

  #wakeIdle(): void {
    const idle = this.#ids.findIndex((_, lane) => !this.#busy.has(lane));
    if (idle !== -1) {
      this.#wake(idle);
    }
  }
}

/** Removes jobs from the list that pg-boss will settle. */
function keep(jobs: FetchedJob[], isKept: (job: FetchedJob) => boolean): void {
  // Seam: pg-boss/jobs-array
  jobs.splice(0, jobs.length, ...jobs.filter((job) => isKept(job)));
}
