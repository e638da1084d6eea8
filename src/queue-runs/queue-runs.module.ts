import { type DynamicModule, Module } from '@nestjs/common';
import { JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { readDatabaseUrl } from '../database/read-database-url.js';
import { CONNECTION_TIMEOUT_MS } from '../database/orm-options.js';
import { RunsModule } from '../runs/runs.module.js';
import { ActiveQueueRuns } from './active-queue-runs.js';
import { FactoriseHandler } from './factorise.handler.js';
import { LostFactorisationHandler } from './lost-factorisation.handler.js';
import { QueueRunWatch } from './queue-run-watch.js';
import { QueueRuns } from './queue-runs.js';

/** Less than the time in which a process must end: see `untilSignal`. */
const SHUTDOWN_TIMEOUT_MS = 5_000;

/** Seconds between two searches for jobs whose process has ended. */
const SUPERVISION_S = 5;

interface QueueRunsOptions {
  /** Whether this process runs jobs of the queue. */
  readonly work: boolean;
  readonly databaseUrl: string;
}

/** Runs on the queue, and the handlers of their jobs. */
@Module({})
export class QueueRunsModule {
  static forRoot({ work, databaseUrl }: QueueRunsOptions): DynamicModule {
    const { applicationName } = readDatabaseUrl(databaseUrl);
    return {
      module: QueueRunsModule,
      imports: [
        RunsModule,
        JobQueueModule.forRoot({
          work,
          shutdownTimeout: SHUTDOWN_TIMEOUT_MS,
          boss: {
            connectionTimeoutMillis: CONNECTION_TIMEOUT_MS,
            ...(applicationName !== undefined && { application_name: applicationName }),
            superviseIntervalSeconds: SUPERVISION_S,
            monitorIntervalSeconds: SUPERVISION_S,
          },
        }),
      ],
      providers: [QueueRuns, QueueRunWatch, ActiveQueueRuns, FactoriseHandler, LostFactorisationHandler],
      exports: [QueueRuns, QueueRunWatch],
    };
  }
}
