import type { Boss } from './boss.js';
import { countQueues, type QueueDepth } from './count-queues.js';

/** The result of a health check, in the form of @nestjs/terminus. */
export type JobQueueHealth<Key extends string> = Record<
  Key,
  | { readonly status: 'up'; readonly queues: Readonly<Record<string, QueueDepth>> }
  | { readonly status: 'down'; readonly message: string }
>;

/**
 * Checks that pg-boss can be reached, and counts the jobs of the queues. It counts at each call.
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

  /** Returns `down` instead of throwing. */
  async check<Key extends string>(key: Key): Promise<JobQueueHealth<Key>> {
    try {
      const counted = await countQueues(this.#boss, this.#findQueues());
      const depths = counted.map(({ name, ...depth }) => [name, depth] as const);
      return { [key]: { status: 'up', queues: Object.fromEntries(depths) } } as JobQueueHealth<Key>;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return { [key]: { status: 'down', message } } as JobQueueHealth<Key>;
    }
  }
}
