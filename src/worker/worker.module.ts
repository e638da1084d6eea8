import { type DynamicModule, Module } from '@nestjs/common';

import { DatabaseModule } from '../database/database.module.js';
import { QueueRunsModule } from '../queue-runs/queue-runs.module.js';

/** Runs the jobs of the queue, without a web server. */
@Module({})
export class WorkerModule {
  static forRoot(databaseUrl: string): DynamicModule {
    return {
      module: WorkerModule,
      imports: [DatabaseModule.forRoot(databaseUrl), QueueRunsModule.forRoot({ work: true, databaseUrl })],
    };
  }
}
