import { type DynamicModule, Module } from '@nestjs/common';

import { ListenerLimitGuard } from '../http/listener-limit.guard.js';
import { QueueRunsModule } from '../queue-runs/queue-runs.module.js';
import { JobLogController } from './job-log.controller.js';
import { RunAdmission } from './run-admission.js';
import { RunsController } from './runs.controller.js';
import { RunsModule } from '../runs/runs.module.js';
import { RunsService } from './runs.service.js';

/** The REST interface for runs of both engines. */
@Module({})
export class RunsApiModule {
  static forRoot(options: { readonly work: boolean; readonly databaseUrl: string }): DynamicModule {
    return {
      module: RunsApiModule,
      imports: [RunsModule, QueueRunsModule.forRoot(options)],
      controllers: [RunsController, JobLogController],
      providers: [RunsService, RunAdmission, ListenerLimitGuard],
    };
  }
}
