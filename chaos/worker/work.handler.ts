import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, type Type } from '@nestjs/common';
import { InjectSession, type JobWorker } from 'nestjs-mikro-session';
import { JobHandler, type QueueInput, type QueueJobContext } from 'nestjs-mikro-session/pg-boss';

import { Mark } from '../application/mark.entity.js';
import { policies } from '../application/queues.js';
import type { WorkerSettings } from './worker-settings.js';

/** Makes the handler of the queue whose processes are killed and frozen. */
export function createWorkHandler({ chunkSize, prefetch }: WorkerSettings): Type<JobWorker<QueueInput<'work'>, void>> {
  @Injectable()
  @JobHandler({
    ...policies.work,
    queue: 'work',
    chunkSize,
    prefetch,
    localConcurrency: 2,
    pollingIntervalSeconds: 0.5,
    notifyPollingIntervalSeconds: 1,
  })
  class WorkHandler implements JobWorker<QueueInput<'work'>, void> {
    constructor(@InjectSession() private readonly session: EntityManager) {}

    async handle({ key, deed }: QueueInput<'work'>, { attempt }: QueueJobContext): Promise<void> {
      if (deed === 'nested') {
        await this.session.transactional((em) => em.create(Mark, { key, source: 'queue' }));
        return;
      }
      this.session.create(Mark, { key, source: 'queue' });
      if (deed === 'write') {
        return;
      }
      await this.session.flush();
      if (deed === 'slow') {
        await this.session.execute('select pg_sleep(0.2)');
      }
      if (deed === 'bad' || (deed === 'flaky' && attempt === 1)) {
        throw new Error(`The job ${key} was to fail`);
      }
    }
  }
  return WorkHandler;
}
