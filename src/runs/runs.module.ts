import { Module } from '@nestjs/common';

import { FactoriseWorker } from './factorise.worker.js';
import { RunExecutor } from './run-executor.js';
import { RunStore } from './run-store.js';

/** The runs of this process. */
@Module({
  providers: [RunExecutor, RunStore, FactoriseWorker],
  exports: [RunExecutor, RunStore, FactoriseWorker],
})
export class RunsModule {}
