import { type DynamicModule, Module } from '@nestjs/common';

import { QueueRunsModule } from '../queue-runs/queue-runs.module.js';
import { RunsController } from './runs.controller.js';
import { RunsModule } from './runs.module.js';
import { RunsService } from './runs.service.js';

/** What clients can do with runs of both engines. */
@Module({})
export class RunsApiModule {
  static forRoot(options: { readonly work: boolean }): DynamicModule {
    return {
      module: RunsApiModule,
      imports: [RunsModule, QueueRunsModule.forRoot(options)],
      controllers: [RunsController],
      providers: [RunsService],
    };
  }
}
