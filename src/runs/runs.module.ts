import { Module } from '@nestjs/common';

import { FactoriseWorker } from './factorise.worker.js';
import { RunExecutor } from './run-executor.js';
import { RunStore } from './run-store.js';
import { RunsController } from './runs.controller.js';
import { RunsService } from './runs.service.js';

@Module({
  controllers: [RunsController],
  providers: [RunsService, RunExecutor, RunStore, FactoriseWorker],
  exports: [RunExecutor],
})
export class RunsModule {}
