import { MikroOrmModule } from '@mikro-orm/nestjs';
import { MikroORM } from '@mikro-orm/postgresql';
import { type DynamicModule, Module, type OnModuleInit } from '@nestjs/common';
import { SessionModule } from 'nestjs-mikro-session';

import { ormOptions } from './orm-options.js';

/** Connects to the database, brings its schema up to date, and gives every request and job a session. */
@Module({})
export class DatabaseModule implements OnModuleInit {
  static forRoot(databaseUrl: string): DynamicModule {
    return {
      module: DatabaseModule,
      imports: [MikroOrmModule.forRoot(ormOptions(databaseUrl)), SessionModule.forRoot()],
    };
  }

  constructor(private readonly orm: MikroORM) {}

  async onModuleInit(): Promise<void> {
    await this.orm.migrator.up();
  }
}
