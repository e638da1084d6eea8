import { types } from 'node:util';

import type { EntityManager } from '@mikro-orm/core';
import { Logger } from '@nestjs/common';

import type { Chunk } from '../../jobs/run/input-source.js';
import { JobAttempts } from '../../jobs/attempt/job-attempts.js';
import type { JobOutcome } from '../../jobs/job-outcome.js';
import { JobChunks } from '../../jobs/run/job-chunks.js';
import { Retry } from '../../jobs/attempt/retry.js';
import type { ChunkWork } from '../../jobs/run/chunk-work.js';
import { RunSignals } from '../../jobs/run/run-signals.js';
import type { ScopeInfo } from '../../session/scope/scope-info.js';
import type { SessionSource } from '../../session/session-source.js';
import type { HandlerTransaction } from './handler-transaction.js';
import type { QueueClaims } from './queue-claims.js';
import { JobClaimLostError } from '../job-claim-lost-error.js';
import { type FetchedJob, QueueJob } from '../queue-job.js';

type Outcome = JobOutcome<QueueJob, unknown>;

/** The handler of a queue, with the options of its batches. */
export interface HandlerWork<Em extends EntityManager> {
  readonly source: SessionSource<Em>;
  readonly queue: string;
  readonly chunkSize: number;
  /** Where the input of a job is in its data. */
  readonly input?: 'field' | 'data' | undefined;
  readonly transaction: HandlerTransaction;
  readonly work: ChunkWork<Em, unknown, unknown>;
}

export interface QueueFailure {
  readonly id: string;
  readonly reason: unknown;
}

/** Jobs whose sessions have the same info. */
interface Group {
  readonly jobs: readonly QueueJob[];
  readonly info: ScopeInfo | undefined;
}

interface GroupRun extends Group {
  readonly signals: RunSignals;
  readonly outcomes: Outcome[];
}

/** The jobs of one fetch, until the outcome of each is known. */
export class QueueBatch<Em extends EntityManager> {
  readonly #work: HandlerWork<Em>;
  readonly #claims: QueueClaims;
  readonly #jobs: QueueJob[] = [];
  readonly #unreadable: QueueFailure[] = [];
  /** The outcomes of the jobs whose data could be read. */
  readonly outcomes: Outcome[] = [];
  readonly #draining = new AbortController();
  readonly #cancelled = new AbortController();

  constructor(work: HandlerWork<Em>, claims: QueueClaims, fetched: readonly FetchedJob[]) {
    this.#work = work;
    this.#claims = claims;
    for (const job of fetched) {
      this.#read(job);
    }
    cancelWithAll(fetched, this.#cancelled);
  }

  /** Aborts the signals of the jobs, and begins no further chunk. */
  drain(reason: unknown): void {
    this.#draining.abort(reason);
  }

  /** Cancels the running jobs, and closes their sessions. */
  cancel(reason: unknown): void {
    this.#cancelled.abort(reason);
  }

  /**
   * Runs the jobs in as few transactions as possible, and completes them there.
   *
   * @returns the failures of the other jobs
   */
  async run(): Promise<readonly QueueFailure[]> {
    const { chunkSize } = this.#work;
    const signals = new RunSignals({
      shutdown: this.#draining.signal,
      signal: this.#cancelled.signal,
      whenAborted: 'cancel',
      timeout: undefined,
    });
    using _following = signals.follow();
    const { outcomes } = this;
    for (const group of groupByInfo(this.#jobs)) {
      const chunks = this.#createChunks({ ...group, signals, outcomes });
      for (let index = 0; index < group.jobs.length; index += chunkSize) {
        await chunks.run({ index, inputs: group.jobs.slice(index, index + chunkSize) });
      }
    }
    await this.#release(outcomes);
    warnOfLostClaims(outcomes);
    const rejected = outcomes.filter((outcome) => outcome.status === 'rejected');
    return [...this.#unreadable, ...rejected.map(({ input, reason }) => ({ id: input.id, reason }))];
  }

  /** Returns the jobs that the shutdown has aborted to their queue. */
  async #release(outcomes: readonly Outcome[]): Promise<void> {
    const aborted = outcomes.filter((outcome) => isAborted(outcome));
    if (this.#draining.signal.aborted && aborted.length > 0) {
      await this.#claims.release(aborted.map(({ input }) => input));
    }
  }

  #read(job: FetchedJob): void {
    try {
      this.#work.transaction.assertFits(job.heartbeatSeconds);
      this.#jobs.push(new QueueJob(job, this.#work.input));
    } catch (error) {
      this.#unreadable.push({ id: job.id, reason: error });
    }
  }

  #createChunks({ jobs, info, signals, outcomes }: GroupRun): JobChunks<QueueJob, unknown> {
    const { source, queue, transaction, work } = this.#work;
    const attempts = new JobAttempts<Em, QueueJob, unknown>({
      source,
      startedIn: undefined,
      work: (session, chunk, attempt) =>
        work(session, { index: chunk.index, inputs: chunk.inputs.map(({ input }) => input) }, attempt),
      label: `queue "${queue}"`,
      nameScope: (chunk) => nameScope(queue, chunk),
      describe: (context) => (jobs[context.index] as QueueJob).describe(context),
      info,
      origin: { queue },
      transaction: transaction.options,
      timeout: undefined,
      signals,
      beforeCommit: (session, chunk, values) => this.#claims.complete(session, chunk.inputs, values),
    });
    return new JobChunks({ runner: attempts, retry: new Retry(), signals, put: (outcome) => outcomes.push(outcome) });
  }
}

function nameScope(queue: string, { inputs }: Chunk<QueueJob>): string {
  const [first] = inputs;
  return inputs.length === 1 ? `job ${first?.id} of queue "${queue}"` : `${inputs.length} jobs of queue "${queue}"`;
}

function isAborted(outcome: Outcome): boolean {
  return outcome.status === 'rejected' && outcome.ending === 'aborted';
}

/** Checks for a native error first: `instanceof` throws for a revoked Proxy. */
function isClaimLost(reason: unknown): reason is JobClaimLostError {
  return types.isNativeError(reason) && reason instanceof JobClaimLostError;
}

/** Warns here, because pg-boss does not: for it, the job belongs to another worker. */
function warnOfLostClaims(outcomes: readonly Outcome[]): void {
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected' && isClaimLost(outcome.reason)) {
      Logger.warn(outcome.reason.message, 'JobQueueModule');
    }
  }
}

/** Groups the jobs by the info of their sessions: jobs of different tenants share no session. */
function groupByInfo(jobs: readonly QueueJob[]): Group[] {
  const groups = Map.groupBy(jobs, ({ info }) => (info === undefined ? '' : JSON.stringify(info)));
  return [...groups.values()].map((group) => ({ jobs: group, info: group[0]?.info }));
}

/**
 * Cancels a batch when pg-boss has given up all of its jobs, because they have expired or pg-boss shuts down. A single
 * job that another worker has taken is noticed when it is completed.
 */
function cancelWithAll(jobs: readonly FetchedJob[], cancelled: AbortController): void {
  const open = jobs.find(({ signal }) => !signal.aborted);
  if (open === undefined) {
    cancelled.abort(jobs[0]?.signal.reason);
    return;
  }
  // One signal is enough to listen to. The others abort at the same time, or right after.
  open.signal.addEventListener('abort', () => queueMicrotask(() => cancelWithAll(jobs, cancelled)), { once: true });
}
