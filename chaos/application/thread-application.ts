import { MikroOrmModule } from '@mikro-orm/nestjs';
import { type INestApplicationContext, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SessionModule, type ThreadApplication } from 'nestjs-mikro-session';

import { MarkChunkWorker, MarkWorker } from './mark.workers.js';
import { toOrmOptions } from './orm-options.js';

@Module({})
class ThreadModule {}

/** The application of a worker thread: the workers, and what they inject. */
const createApplication: ThreadApplication<{ readonly databaseUrl: string }> = ({
  databaseUrl,
}): Promise<INestApplicationContext> =>
  NestFactory.createApplicationContext(
    {
      module: ThreadModule,
      imports: [
        MikroOrmModule.forRoot(toOrmOptions({ databaseUrl, name: 'chaos thread', poolSize: 2 })),
        SessionModule.forRoot(),
      ],
      providers: [MarkWorker, MarkChunkWorker],
    },
    { logger: false, abortOnError: false },
  );

export default createApplication;
