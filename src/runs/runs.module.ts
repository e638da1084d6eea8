import { Module } from '@nestjs/common';

import { FailureLog } from './failure-log.js';
import { JobLog } from './job-log.js';
import { RunLog } from './run-log.js';
import { FactoriseWorker } from './factorise.worker.js';
import { RunExecutor } from './run-executor.js';
import { RunStore } from './run-store.js';

/** The runs of this process. */
@Module({
  providers: [RunExecutor, RunStore, FactoriseWorker, FailureLog, JobLog, RunLog],
  exports: [RunExecutor, RunStore, FactoriseWorker, FailureLog, JobLog, RunLog],
})
export class RunsModule {}
