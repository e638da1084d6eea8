import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER, APP_PIPE } from '@nestjs/core';
import { SessionInspectorModule } from 'nestjs-mikro-session/inspector';

import { DatabaseModule } from './database/database.module.js';
import { ErrorFilter } from './errors/error.filter.js';
import { RequestPipe } from './errors/request.pipe.js';
import { HealthModule } from './health/health.module.js';
import { OpenRequests } from './http/open-requests.js';
import { MisuseModule } from './misuse/misuse.module.js';
import { RunsApiModule } from './runs-api/runs-api.module.js';

export interface AppModuleOptions {
  readonly databaseUrl: string;
  /** Whether this process runs jobs of the queue. */
  readonly work: boolean;
  readonly inspector: boolean;
}

@Module({})
export class AppModule {
  static forRoot({ databaseUrl, work, inspector }: AppModuleOptions): DynamicModule {
    return {
      module: AppModule,
      imports: [
        DatabaseModule.forRoot(databaseUrl),
        RunsApiModule.forRoot({ work, databaseUrl }),
        MisuseModule.forRoot(databaseUrl),
        HealthModule,
        ...(inspector ? [SessionInspectorModule.forRoot({ actions: true })] : []),
      ],
      providers: [
        OpenRequests,
        { provide: APP_FILTER, useClass: ErrorFilter },
        { provide: APP_PIPE, useClass: RequestPipe },
      ],
    };
  }
}
