import { MikroOrmModule } from '@mikro-orm/nestjs';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SessionModule, type ThreadApplication } from 'nestjs-mikro-session';

import { Instance } from './runs/instance.js';
import { ormOptions } from './database/orm-options.js';
import type { ThreadData } from './database/thread-data.js';
import { FactoriseWorker } from './runs/factorise.worker.js';
import { JobLog } from './runs/job-log.js';

/**
 * The parts of the application that a thread needs: the worker and the database, whose schema is up to date by then.
 */
@Module({ providers: [FactoriseWorker, JobLog] })
class ThreadModule {}

const createThreadApplication: ThreadApplication<ThreadData> = ({ databaseUrl, instanceId }) => {
  const orm = ormOptions(databaseUrl, new Instance(instanceId));
  return NestFactory.createApplicationContext(
    { module: ThreadModule, imports: [MikroOrmModule.forRoot(orm), SessionModule.forRoot()] },
    { logger: ['warn', 'error'], abortOnError: false },
  );
};

export default createThreadApplication;
