import { MikroOrmModule } from '@mikro-orm/nestjs';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SessionModule, type ThreadApplication } from 'nestjs-mikro-session';

import { Instance } from './database/instance.js';
import { ormOptions } from './database/orm-options.js';
import { FactoriseWorker } from './runs/factorise.worker.js';
import { JobLog } from './runs/job-log.js';

/** What a thread is told by the application that it is of. */
export interface ThreadData {
  readonly databaseUrl: string;
  readonly instanceId: string;
}

/** What a thread needs of the application: its worker and the database, whose schema is up to date by then. */
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
