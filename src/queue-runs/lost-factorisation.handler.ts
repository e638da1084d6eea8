import { EntityManager, LockMode } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { InjectSession, type JobWorker, SessionContext } from 'nestjs-mikro-session';
import { JobHandler, type QueueJobContext } from 'nestjs-mikro-session/pg-boss';

import { storeFailures } from '../runs/failure.js';
import { Run } from '../runs/run.entity.js';
import { sentRunInfoOf } from '../runs/run-info.js';
import { LOST_FACTORISATIONS } from './queues.js';

const ERROR =
  'Its job was given up after several attempts: the processes that ran it died, or their database was gone.';

/** Counts a number as failed when its job never ended, so that the run can end. */
@Injectable()
@JobHandler({
  queue: LOST_FACTORISATIONS,
  retryLimit: 1_000,
  retryDelay: 5,
  deleteAfterSeconds: 3_600,
  localConcurrency: 1,
  notifyPollingIntervalSeconds: 5,
})
export class LostFactorisationHandler implements JobWorker<number, void> {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly context: SessionContext,
  ) {}

  async handle(number: number, { index }: QueueJobContext): Promise<void> {
    const { runId } = sentRunInfoOf(this.context.scope);
    // Locked, so that the run cannot be cancelled in the meantime: an ended run is not changed.
    const run = await this.session.findOne(Run, { id: runId }, { lockMode: LockMode.PESSIMISTIC_READ });
    if (run?.finishedAt === null) {
      await storeFailures(this.session, runId, [{ index, number, error: ERROR }]);
    }
  }
}
