import type { PgBoss } from 'pg-boss';

import type { Boss } from './boss.js';

/** How many jobs a queue holds. */
export interface QueueDepth {
  /** Those that could run now. */
  readonly ready: number;
  readonly active: number;
  /** Those whose time is yet to come. */
  readonly deferred: number;
  readonly failed: number;
}

/** The result of a health check, in the form of @nestjs/terminus. */
export type JobQueueHealth<Key extends string> = Record<
  Key,
  | { readonly status: 'up'; readonly queues: Readonly<Record<string, QueueDepth>> }
  | { readonly status: 'down'; readonly message: string }
>;

/**
 * Tells whether pg-boss can be reached, and how deep the queues are. The depths are counted anew at most once a minute.
 *
 * @example
 * health.check([() => queue.check('queue')])
 */
export class JobQueueHealthIndicator {
  readonly #boss: Boss;
  readonly #findQueues: () => readonly string[];

  constructor(boss: Boss, findQueues: () => readonly string[]) {
    this.#boss = boss;
    this.#findQueues = findQueues;
  }

  async check<Key extends string>(key: Key): Promise<JobQueueHealth<Key>> {
    try {
      const boss = await this.#boss.start();
      const names = this.#findQueues();
      const depths = await Promise.all(names.map(async (name) => [name, await measure(boss, name)] as const));
      return { [key]: { status: 'up', queues: Object.fromEntries(depths) } } as JobQueueHealth<Key>;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return { [key]: { status: 'down', message } } as JobQueueHealth<Key>;
    }
  }
}

async function measure(boss: PgBoss, name: string): Promise<QueueDepth> {
  const [stats] = await boss.getQueueStats(name, { force: true });
  const { readyCount = 0, activeCount = 0, deferredCount = 0, failedCount = 0 } = stats ?? {};
  return { ready: readyCount, active: activeCount, deferred: deferredCount, failed: failedCount };
}
