import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, type Type } from '@nestjs/common';
import { InjectSession, type JobWorker } from 'nestjs-mikro-session';
import { JobHandler, type QueueInput } from 'nestjs-mikro-session/pg-boss';

import { Mark } from '../application/mark.entity.js';
import { policies } from '../application/queues.js';
import type { WorkerSettings } from './worker-settings.js';

/** Makes the handler of the queue some of whose jobs end the process that they run in. */
export function createPoisonHandler({
  chunkSize,
  prefetch,
}: WorkerSettings): Type<JobWorker<QueueInput<'poison'>, void>> {
  @Injectable()
  @JobHandler({
    ...policies.poison,
    queue: 'poison',
    chunkSize,
    prefetch,
    localConcurrency: 2,
    pollingIntervalSeconds: 0.5,
    notifyPollingIntervalSeconds: 1,
  })
  class PoisonHandler implements JobWorker<QueueInput<'poison'>, void> {
    constructor(@InjectSession() private readonly session: EntityManager) {}

    async handle({ key, deed }: QueueInput<'poison'>): Promise<void> {
      this.session.create(Mark, { key, source: 'queue' });
      await this.session.flush();
      switch (deed) {
        case 'write':
          return;
        case 'slow':
          await this.session.execute('select pg_sleep(0.1)');
          return;
        case 'exit':
          return process.exit(7);
        case 'memory':
          fillMemory();
      }
    }
  }
  return PoisonHandler;
}

function fillMemory(): never {
  const kept: string[][] = [];
  for (;;) {
    kept.push(Array.from({ length: 100_000 }, (_, i) => `${kept.length} ${i}`));
  }
}
