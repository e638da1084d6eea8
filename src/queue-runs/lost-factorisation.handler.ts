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

/** Counts numbers as failed whose job could not be brought to an end, so that their run comes to its own. */
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
    // Locked against its cancellation: a run that has ended stays as it is.
    const run = await this.session.findOne(Run, { id: runId }, { lockMode: LockMode.PESSIMISTIC_READ });
    if (run?.finishedAt === null) {
      await storeFailures(this.session, runId, [{ index, number, error: ERROR }]);
    }
  }
}
