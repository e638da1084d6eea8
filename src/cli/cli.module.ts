import { type DynamicModule, Module } from '@nestjs/common';

import { DatabaseModule } from '../database/database.module.js';
import { RunsModule } from '../runs/runs.module.js';
import { RunWithBar } from './run-with-bar.js';

/** The parts of the application that the command line needs: the runs, without a server. */
@Module({ imports: [RunsModule], providers: [RunWithBar] })
export class CliModule {
  static forRoot(databaseUrl: string): DynamicModule {
    return { module: CliModule, imports: [DatabaseModule.forRoot(databaseUrl)] };
  }
}
