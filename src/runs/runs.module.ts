import { Module } from '@nestjs/common';

import { FailureLog } from './failure-log.js';
import { FactoriseWorker } from './factorise.worker.js';
import { RunExecutor } from './run-executor.js';
import { RunStore } from './run-store.js';

/** The runs of this process. */
@Module({
  providers: [RunExecutor, RunStore, FactoriseWorker, FailureLog],
  exports: [RunExecutor, RunStore, FactoriseWorker, FailureLog],
})
export class RunsModule {}
