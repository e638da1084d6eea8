import { MikroOrmModule } from '@mikro-orm/nestjs';
import { PostgreSqlDriver } from '@mikro-orm/postgresql';
import { type DynamicModule, Module, type OnModuleDestroy } from '@nestjs/common';
import { SessionModule } from 'nestjs-mikro-session';
import { JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { createEffectHandler, say } from './effect-handler.js';
import { Effect } from './effect.entity.js';
import type { WorkerSettings } from './worker-settings.js';

@Module({})
export class WorkerModule implements OnModuleDestroy {
  static for(settings: WorkerSettings): DynamicModule {
    const { name, databaseUrl, shutdownTimeout } = settings;
    return {
      module: WorkerModule,
      imports: [
        MikroOrmModule.forRoot({
          driver: PostgreSqlDriver,
          clientUrl: databaseUrl,
          entities: [Effect],
          pool: { min: 0, max: 5 },
          driverOptions: { application_name: name },
        }),
        SessionModule.forRoot(),
        JobQueueModule.forRoot({
          ...(shutdownTimeout !== undefined && { shutdownTimeout }),
          boss: { superviseIntervalSeconds: 1, monitorIntervalSeconds: 1 },
        }),
      ],
      providers: [createEffectHandler(settings)],
    };
  }

  onModuleDestroy(): void {
    say('ending');
  }
}
