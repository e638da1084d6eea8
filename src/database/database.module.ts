import { MikroOrmModule } from '@mikro-orm/nestjs';
import { type EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { type DynamicModule, Module, type OnModuleInit } from '@nestjs/common';
import { SessionModule } from 'nestjs-mikro-session';

import { Instance } from '../runs/instance.js';
import { migrate } from './migrate.js';
import type { ThreadData } from './thread-data.js';
import { ormOptions } from './orm-options.js';

declare module 'nestjs-mikro-session' {
  interface SessionTypes {
    entityManager: EntityManager;
  }
}

/** Connects to the database, updates its schema, and gives every request and job a session. */
@Module({})
export class DatabaseModule implements OnModuleInit {
  static forRoot(databaseUrl: string): DynamicModule {
    const instance = new Instance();
    return {
      module: DatabaseModule,
      global: true,
      imports: [
        MikroOrmModule.forRoot(ormOptions(databaseUrl, instance)),
        SessionModule.forRoot({
          threads: {
            application: new URL('../thread-application.js', import.meta.url),
            data: { databaseUrl, instanceId: instance.id } satisfies ThreadData,
          },
        }),
      ],
      providers: [{ provide: Instance, useValue: instance }],
      exports: [Instance],
    };
  }

  constructor(private readonly orm: MikroORM) {}

  async onModuleInit(): Promise<void> {
    await migrate(this.orm);
  }
}
