import type { MikroORM } from '@mikro-orm/core';
import {
  ConfigurableModuleBuilder,
  type DynamicModule,
  type InjectionToken,
  Module,
  type Provider,
} from '@nestjs/common';
import { DiscoveryModule, DiscoveryService, ModuleRef } from '@nestjs/core';

import { type QueueDepth, QueueReaders } from '../nest/queue-readers.js';
import { getSessionSourceToken } from '../nest/get-session-token.js';
import { findKnowledge } from '../session/drivers/find-knowledge.js';
import { SessionSetupError } from '../session/session-error.js';
import type { SessionSource } from '../session/session-source.js';
import { Boss } from './boss.js';
import { JobQueue } from './job-queue.js';
import { JobQueueHealthIndicator } from './job-queue-health.js';
import { countQueues } from './count-queues.js';
import { measureRates } from './measure-rates.js';
import { JobQueueLifecycle } from './job-queue-lifecycle.js';
import type {
  JobQueueModuleExtras,
  JobQueueModuleOptions,
  JobQueueOptionsFactory,
} from './job-queue-module-options.js';
import { assertQueueModuleOptions } from './assert-queue-module-options.js';
import { findHandlers } from './worker/find-handlers.js';
import { QueueWorkers } from './worker/queue-workers.js';
import { getJobQueueHealthToken, getJobQueueToken } from './get-job-queue-token.js';

const extras: Required<JobQueueModuleExtras> = { contextName: undefined, isGlobal: true };

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<JobQueueModuleOptions>({ moduleName: 'JobQueue' })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createJobQueueOptions' satisfies keyof JobQueueOptionsFactory)
    .setExtras(extras, addQueue)
    .build();

/**
 * Adds durable jobs on pg-boss to an application with sessions: a JobQueue to send jobs, and workers for the providers
 * with `@JobHandler()`. Import it beside `SessionModule.forRoot()`.
 *
 * @example
 * imports: [MikroOrmModule.forRoot({ ... }), SessionModule.forRoot(), JobQueueModule.forRoot()]
 */
@Module({ imports: [DiscoveryModule] })
export class JobQueueModule extends ConfigurableModuleClass {
  /** Takes the options themselves. */
  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    return super.forRoot(options);
  }

  /**
   * Takes the options from `useFactory`, `useClass` or `useExisting`; the extras (`contextName`, `isGlobal`) stand
   * beside it.
   */
  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return super.forRootAsync(options);
  }
}

function addQueue(definition: DynamicModule, { contextName, isGlobal }: Required<JobQueueModuleExtras>): DynamicModule {
  const sourceToken = Symbol('source');
  const bossToken = Symbol('boss');
  const exported: Provider[] = [
    {
      provide: getJobQueueToken(contextName),
      useFactory: (source: SessionSource, boss: Boss) => new JobQueue(source, boss),
      inject: [sourceToken, bossToken],
    },
    {
      provide: getJobQueueHealthToken(contextName),
      useFactory: (boss: Boss, discovery: DiscoveryService, { queues = {} }: JobQueueModuleOptions) =>
        new JobQueueHealthIndicator(boss, () => [
          ...findHandlers(discovery, contextName).map(({ options }) => options.queue),
          ...Object.keys(queues),
        ]),
      inject: [bossToken, DiscoveryService, MODULE_OPTIONS_TOKEN],
    },
  ];
  return {
    ...definition,
    global: isGlobal,
    providers: [
      ...(definition.providers ?? []),
      {
        provide: sourceToken,
        useFactory: (found?: SessionSource) => found ?? refuse(contextName),
        inject: [{ token: getSessionSourceToken(contextName), optional: true }],
      },
      {
        provide: bossToken,
        useFactory: ({ orm }: SessionSource, options: JobQueueModuleOptions) => {
          assertQueueModuleOptions(options);
          assertPostgres(orm);
          return new Boss(orm, options.boss);
        },
        inject: [sourceToken, MODULE_OPTIONS_TOKEN],
      },
      {
        provide: JobQueueLifecycle,
        useFactory: (
          source: SessionSource,
          boss: Boss,
          options: JobQueueModuleOptions,
          discovery: DiscoveryService,
          moduleRef: ModuleRef,
          readers?: QueueReaders,
        ) => {
          readers?.add(() => readQueues(boss, discovery, options, contextName));
          return new JobQueueLifecycle({
            boss,
            workers: new QueueWorkers(source, moduleRef),
            options,
            findHandlers: () => findHandlers(discovery, contextName),
          });
        },
        inject: [
          sourceToken,
          bossToken,
          MODULE_OPTIONS_TOKEN,
          DiscoveryService,
          ModuleRef,
          // Missing without SessionModule. The provider of `source` throws the error for that.
          { token: QueueReaders, optional: true },
        ],
      },
      ...exported,
    ],
    exports: exported.map((provider) => (provider as { readonly provide: InjectionToken }).provide),
  };
}

/** Jobs are sent in the transactions of sessions, and pg-boss needs PostgreSQL. */
function assertPostgres(orm: MikroORM): void {
  const knowledge = findKnowledge(orm);
  if (knowledge !== undefined) {
    throw new SessionSetupError(
      `JobQueueModule keeps its jobs in PostgreSQL, and the connection "${orm.em.name}" is one of ${knowledge.name}. Give ` +
        'it the `contextName` of a connection to PostgreSQL, or run the jobs with JobService, which keeps them in memory.',
    );
  }
}

/** Counts the jobs of the queues that the application names, and of their dead letter queues, and measures their rates. */
async function readQueues(
  boss: Boss,
  discovery: DiscoveryService,
  { queues = {} }: JobQueueModuleOptions,
  contextName: string | undefined,
): Promise<QueueDepth[]> {
  const deadLetters = new Map(Object.entries(queues).map(([name, { deadLetter }]) => [name, deadLetter] as const));
  findHandlers(discovery, contextName).forEach(({ options }) => deadLetters.set(options.queue, options.deadLetter));
  const names = [
    ...new Set([...deadLetters.keys(), ...deadLetters.values()].filter((name) => typeof name === 'string')),
  ];
  const [counted, rates] = await Promise.all([countQueues(boss, names), measureRates(boss, names)]);
  return counted.map((depth) => ({
    ...depth,
    rate: rates.get(depth.name) ?? 0,
    deadLetter: deadLetters.get(depth.name) ?? undefined,
  }));
}

function refuse(contextName: string | undefined): never {
  throw new SessionSetupError(
    contextName === undefined
      ? 'JobQueueModule found no sessions. Add SessionModule.forRoot() to the imports of the application.'
      : `JobQueueModule found no sessions of the connection "${contextName}". ` +
          `Add SessionModule.forRoot({ contextName: '${contextName}' }) to the imports of the application.`,
  );
}
