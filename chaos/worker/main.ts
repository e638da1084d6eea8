// A process of its own, which works on one queue until it is told to end, or is ended.
import 'reflect-metadata';

import { MikroOrmModule } from '@mikro-orm/nestjs';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SessionModule } from 'nestjs-mikro-session';
import { JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { toOrmOptions } from '../application/orm-options.js';
import { policies } from '../application/queues.js';
import { createPoisonHandler } from './poison.handler.js';
import { createWorkHandler } from './work.handler.js';
import type { WorkerSettings } from './worker-settings.js';

@Module({})
class WorkerModule {}

const settings = JSON.parse(process.env['WORKER'] ?? '') as WorkerSettings;
const { name, databaseUrl, queue } = settings;
const { work, poison, dead } = policies;
const app = await NestFactory.createApplicationContext(
  {
    module: WorkerModule,
    imports: [
      MikroOrmModule.forRoot(toOrmOptions({ databaseUrl, name, poolSize: 4 })),
      SessionModule.forRoot(),
      JobQueueModule.forRoot({
        shutdownTimeout: 2_000,
        // The other one has its handler in another process.
        queues: queue === 'work' ? { dead, poison } : { dead, work },
        boss: { application_name: name, superviseIntervalSeconds: 1, monitorIntervalSeconds: 1 },
      }),
    ],
    providers: [queue === 'work' ? createWorkHandler(settings) : createPoisonHandler(settings)],
  },
  { logger: false, abortOnError: false },
);
app.enableShutdownHooks();
process.stdout.write('working\n');
