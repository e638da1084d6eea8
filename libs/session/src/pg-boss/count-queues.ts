import type { Boss } from './boss.js';

/** The number of jobs in a queue, by their state. */
export interface QueueDepth {
  /** Jobs that could run now. */
  readonly ready: number;
  /** Jobs that run now. */
  readonly active: number;
  /** Jobs whose time has not come yet. */
  readonly deferred: number;
  /** Jobs that have failed for good. */
  readonly failed: number;
}

interface NamedDepth extends QueueDepth {
  readonly name: string;
}

/** Counts the jobs of queues, as they are now. */
export async function countQueues(boss: Boss, names: readonly string[]): Promise<readonly NamedDepth[]> {
  const started = await boss.start();
  const { rows } = await started.getDb().executeSql(countJobs(boss.schema), [names]);
  return rows as readonly NamedDepth[];
}

/**
 * Counts as pg-boss does, but now: its own count may be a minute old. The list of states equals that of its index of
 * unfinished jobs, so that completed jobs are not read.
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
