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

interface NamedDepth extends QueueDepth {
  readonly name: string;
}

/** The result of a health check, in the form of @nestjs/terminus. */
export type JobQueueHealth<Key extends string> = Record<
  Key,
  | { readonly status: 'up'; readonly queues: Readonly<Record<string, QueueDepth>> }
  | { readonly status: 'down'; readonly message: string }
>;

/**
 * Whether pg-boss can be reached, and how deep the queues are. The jobs are counted at each call.
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
      const { rows } = await boss.getDb().executeSql(countJobs(this.#boss.schema), [this.#findQueues()]);
      const depths = (rows as readonly NamedDepth[]).map(({ name, ...depth }) => [name, depth] as const);
      return { [key]: { status: 'up', queues: Object.fromEntries(depths) } } as JobQueueHealth<Key>;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return { [key]: { status: 'down', message } } as JobQueueHealth<Key>;
    }
  }
}

/**
 * Counts as pg-boss does, whose own count may be a minute old. The list of states is that of its index of unfinished jobs,
 * word by word: those that are completed are not read.
 */
function countJobs(schema: string): string {
  // Seam: pg-boss/job-table
  return `select queue.name, coalesce(ready, 0) as ready, coalesce(active, 0) as active,
      coalesce(deferred, 0) as deferred, coalesce(failed, 0) as failed
    from unnest($1::text[]) as queue (name) left join (
      select name,
        (count(*) filter (where state < 'active' and not blocked and start_after <= ${schema}.job_now()))::int as ready,
        (count(*) filter (where state = 'active'))::int as active,
        (count(*) filter (where state < 'active' and not blocked and start_after > ${schema}.job_now()))::int as deferred,
        (count(*) filter (where state = 'failed'))::int as failed
      from ${schema}.job
      where name = any($1::text[]) and state IN ('created', 'retry', 'active', 'failed')
      group by name
    ) as counted on counted.name = queue.name`;
}
