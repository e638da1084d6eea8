import type { EntityManager } from '@mikro-orm/core';
import type { BeforeApplicationShutdown, OnApplicationBootstrap, OnApplicationShutdown } from '@nestjs/common';

import { SessionSetupError } from '../session/session-error.js';
import type { Boss } from './boss.js';
import type { JobQueueModuleOptions } from './job-queue-module-options.js';
import type { QueueHandler } from './worker/find-handlers.js';
import { type QueuePolicy, splitPolicy } from './queue-policy.js';
import { setUpQueues } from './set-up-queues.js';
import type { QueueWorkers } from './worker/queue-workers.js';

const SHUTDOWN_TIMEOUT_MS = 30_000;

/** Milliseconds of a shutdown before it is checked whether the network is dead. */
const PATIENCE_MS = 300;

export interface JobQueueLifecycleOptions {
  readonly boss: Boss;
  readonly workers: QueueWorkers<EntityManager>;
  readonly options: JobQueueModuleOptions;
  /** Finds the handlers. Called when all providers are known. */
  readonly findHandlers: () => readonly QueueHandler[];
}

/** Starts the queues and their workers with the application, and ends them with it. */
export class JobQueueLifecycle implements OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown {
  constructor(readonly parts: JobQueueLifecycleOptions) {}

  async onApplicationBootstrap(): Promise<void> {
    const { workers, options, findHandlers } = this.parts;
    const handlers = findHandlers();
    const policies = collectPolicies(handlers, options.queues ?? {});
    try {
      const boss = await this.parts.boss.start();
      await setUpQueues(boss, policies);
      if (options.work ?? true) {
        await this.parts.boss.outside(() => workers.start(boss, this.parts.boss.schema, handlers));
      }
    } catch (error) {
      // NestJS calls no shutdown hook of an application that did not start.
      await this.parts.boss.stop();
      throw error;
    }
  }

  /** Ends the workers here, while the database can still be reached. */
  async beforeApplicationShutdown(): Promise<void> {
    const { boss, workers, options } = this.parts;
    const looking = setTimeout(() => void boss.endUnreachable(), PATIENCE_MS);
    await boss.whileReachable(workers.stop(options.shutdownTimeout ?? SHUTDOWN_TIMEOUT_MS));
    clearTimeout(looking);
  }

  /** Stops pg-boss here, after all providers that may still send jobs. */
  async onApplicationShutdown(): Promise<void> {
    const { boss } = this.parts;
    const looking = setTimeout(() => void boss.endUnreachable(), PATIENCE_MS);
    await boss.stop();
    clearTimeout(looking);
  }
}

function collectPolicies(
  handlers: readonly QueueHandler[],
  queues: Readonly<Record<string, QueuePolicy>>,
): ReadonlyMap<string, QueuePolicy> {
  const policies = new Map(Object.entries(queues));
  for (const { handler, options } of handlers) {
    if (policies.has(options.queue)) {
      throw new SessionSetupError(
        `The queue "${options.queue}" is described twice: by its handler "${handler.name}" and by the option \`queues\` ` +
          'of JobQueueModule. Describe it only at the handler.',
      );
    }
    policies.set(options.queue, splitPolicy(options).queue);
  }
  return policies;
}
