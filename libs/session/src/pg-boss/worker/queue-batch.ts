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
import type { QueueClaims } from './queue-claims.js';
import { JobClaimLostError } from '../job-claim-lost-error.js';
import { type FetchedJob, QueueJob } from '../queue-job.js';

type Outcome = JobOutcome<QueueJob, unknown>;

/** The work of the handler of a queue. */
export interface HandlerWork<Em extends EntityManager> {
  readonly source: SessionSource<Em>;
  readonly queue: string;
  readonly chunkSize: number;
  /** Where the input is in the data of a job. */
  readonly input?: 'field' | 'data' | undefined;
  readonly work: ChunkWork<Em, unknown, unknown>;
}

export interface QueueFailure {
  readonly id: string;
  readonly reason: unknown;
}

/** Jobs whose sessions are to know the same. */
interface Group {
  readonly jobs: readonly QueueJob[];
  readonly info: ScopeInfo | undefined;
}

interface GroupRun extends Group {
  readonly signals: RunSignals;
  readonly outcomes: Outcome[];
}

/** The jobs that one fetch has brought, until it is known what became of each. */
export class QueueBatch<Em extends EntityManager> {
  readonly #work: HandlerWork<Em>;
  readonly #claims: QueueClaims;
  readonly #jobs: QueueJob[] = [];
  readonly #unreadable: QueueFailure[] = [];
  /** Of the jobs that could be read, once they have run. */
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

  /** Tells the handler to hurry, and begins no further chunk. */
  drain(reason: unknown): void {
    this.#draining.abort(reason);
  }

  /** Cancels what runs, and closes its session. */
  cancel(reason: unknown): void {
    this.#cancelled.abort(reason);
  }

  /**
   * Runs the jobs in as few transactions as there can be, and completes them there.
   *
   * @returns what the others failed with
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

  /** Gives back what the shutdown has cut. */
  async #release(outcomes: readonly Outcome[]): Promise<void> {
    const aborted = outcomes.filter((outcome) => isAborted(outcome));
    if (this.#draining.signal.aborted && aborted.length > 0) {
      await this.#claims.release(aborted.map(({ input }) => input));
    }
  }

  #read(job: FetchedJob): void {
    try {
      this.#jobs.push(new QueueJob(job, this.#work.input));
    } catch (error) {
      this.#unreadable.push({ id: job.id, reason: error });
    }
  }

  #createChunks({ jobs, info, signals, outcomes }: GroupRun): JobChunks<QueueJob, unknown> {
    const { source, queue, work } = this.#work;
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
      transaction: {},
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

/** A revoked Proxy, which may have been thrown, is not to be asked for its class. */
function isClaimLost(reason: unknown): reason is JobClaimLostError {
  return types.isNativeError(reason) && reason instanceof JobClaimLostError;
}

/** Nobody else tells of them: for pg-boss, the job is another worker's. */
function warnOfLostClaims(outcomes: readonly Outcome[]): void {
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected' && isClaimLost(outcome.reason)) {
      Logger.warn(outcome.reason.message, 'JobQueueModule');
    }
  }
}

/** Parts the jobs by what their sessions are to know: those of different tenants share none. */
function groupByInfo(jobs: readonly QueueJob[]): Group[] {
  const groups = Map.groupBy(jobs, ({ info }) => (info === undefined ? '' : JSON.stringify(info)));
  return [...groups.values()].map((group) => ({ jobs: group, info: group[0]?.info }));
}

/**
 * Cuts a batch when pg-boss has given up all of its jobs: they have expired, or it shuts down. One alone may have been
 * taken from this worker, which the end of its work will find out.
 */
function cancelWithAll(jobs: readonly FetchedJob[], cancelled: AbortController): void {
  const open = jobs.find(({ signal }) => !signal.aborted);
  if (open === undefined) {
    cancelled.abort(jobs[0]?.signal.reason);
    return;
  }
  // One of them is enough to listen to. The others are aborted with it, or right after.
  open.signal.addEventListener('abort', () => queueMicrotask(() => cancelWithAll(jobs, cancelled)), { once: true });
}
