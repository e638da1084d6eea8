import { MikroOrmModule } from '@mikro-orm/nestjs';
import { EntityManager } from '@mikro-orm/postgresql';
import { type INestApplication, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { JobService, SessionFactory, SessionModule, SessionRegistry } from 'nestjs-mikro-session';
import { JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { Ledger } from '../ledger.js';
import { MarkChunkWorker, MarkWorker } from './mark.workers.js';
import { MarksController } from './marks.controller.js';
import { MarksService } from './marks.service.js';
import { toOrmOptions } from './orm-options.js';
import { policies } from './queues.js';

export const POOL_SIZE = 6;

export interface AppSettings {
  readonly name: string;
  readonly databaseUrl: string;
  readonly platform: 'express' | 'fastify';
  readonly injection: 'request' | 'contextual';
  readonly ledger: Ledger;
  readonly queryTimeout?: number;
}

/** A running application, and what of it the workloads use. */
export interface ChaosApp {
  readonly name: string;
  readonly url: string;
  readonly app: INestApplication;
  readonly jobs: JobService<EntityManager>;
  readonly factory: SessionFactory<EntityManager>;
  readonly queue: JobQueue<EntityManager>;
  readonly registry: SessionRegistry;
}

@Module({})
class ChaosModule {}

/** Starts an application that serves requests, runs jobs, and sends to the queues. */
export async function startApp(settings: AppSettings): Promise<ChaosApp> {
  const { name, databaseUrl, platform, injection, ledger, queryTimeout } = settings;
  const root = {
    module: ChaosModule,
    imports: [
      MikroOrmModule.forRoot({
        ...toOrmOptions({ databaseUrl, name, poolSize: POOL_SIZE, queryTimeout }),
        registerRequestContext: false,
      }),
      SessionModule.forRoot({
        injection,
        threads: { application: new URL('./thread-application.js', import.meta.url), data: { databaseUrl } },
      }),
      JobQueueModule.forRoot({ work: false, queues: policies }),
    ],
    controllers: [MarksController],
    providers: [MarksService, MarkWorker, MarkChunkWorker, { provide: Ledger, useValue: ledger }],
  };
  const adapter = platform === 'express' ? new ExpressAdapter() : new FastifyAdapter();
  const app = await NestFactory.create(root, adapter, { logger: false, abortOnError: false });
  await app.listen(0, '127.0.0.1');
  return {
    name,
    url: await app.getUrl(),
    app,
    jobs: app.get<JobService<EntityManager>>(JobService),
    factory: app.get<SessionFactory<EntityManager>>(SessionFactory),
    queue: app.get<JobQueue<EntityManager>>(JobQueue),
    registry: app.get(SessionRegistry),
  };
}
