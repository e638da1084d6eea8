import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { InjectSession, type JobWorker, SessionContext } from 'nestjs-mikro-session';
import { JobHandler, type QueueJobContext } from 'nestjs-mikro-session/pg-boss';

import { JOB_CONNECTIONS, QUEUE_CONNECTIONS } from '../runs/pool-size.js';
import { storeFailures, toFailure } from '../runs/failure.js';
import { FailureLog } from '../runs/failure-log.js';
import { FactoriseWorker } from '../runs/factorise.worker.js';
import { sentRunInfoOf } from '../runs/run-info.js';
import { ActiveQueueRuns } from './active-queue-runs.js';
import { takeJobSlot } from './take-job-slot.js';
import { FACTORISATIONS, LOST_FACTORISATIONS } from './queues.js';

/** The largest number of jobs of a run that run at once, by the tier of the job: see `tierOf`. */
const TIERS = Object.fromEntries(
  Array.from({ length: JOB_CONNECTIONS }, (_, nth) => [tierOf(nth + 1), nth + 1] as const),
);

export function tierOf(concurrency: number): string {
  return String(concurrency);
}

/**
 * Runs a FactoriseWorker for a job of the queue. A job that throws has failed and is not retried, as in a run of the
 * process. A job whose process ends is retried by another process, when its heartbeat has stopped.
 */
@Injectable()
@JobHandler({
  queue: FACTORISATIONS,
  deadLetter: LOST_FACTORISATIONS,
  retryLimit: 5,
  heartbeatSeconds: 10,
  // One run may have a hundred thousand jobs.
  warningQueueSize: 1_000_000,
  deleteAfterSeconds: 3_600,
  localConcurrency: QUEUE_CONNECTIONS,
  groupConcurrency: { default: 1, tiers: TIERS },
  // Polls often: no notification is sent when jobs of another process come back.
  notifyPollingIntervalSeconds: 5,
})
export class FactoriseHandler implements JobWorker<number, void> {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly context: SessionContext,
    private readonly runs: ActiveQueueRuns,
    private readonly worker: FactoriseWorker,
    private readonly failures: FailureLog,
  ) {}

  async handle(number: number, job: QueueJobContext): Promise<void> {
    const { runId, concurrency } = sentRunInfoOf(this.context.scope);
    const ended = await this.runs.enter(runId);
    await takeJobSlot(this.session, { runId, concurrency, index: job.index });
    try {
      // A savepoint, so that a failure is rolled back and the transaction goes on.
      await this.session.transactional(async () => {
        const signal = AbortSignal.any([job.signal, ended]);
        await this.worker.handle({ index: job.index, number }, { ...job, signal });
        ended.throwIfAborted();
      });
    } catch (error) {
      // Throws when pg-boss has given up the job already.
      ended.throwIfAborted();
      const failure = toFailure(job.index, number, error);
      this.failures.tell(runId, failure, error);
      await storeFailures(this.session, runId, [failure]);
    }
  }
}
