import type { Boss } from './boss.js';

const WINDOW_SECONDS = 60;

interface CompletedJobs {
  readonly name: string;
  readonly completed: number;
}

/** Returns the jobs of queues that were completed per second, over the last minute. A queue without any is missing. */
export async function measureRates(boss: Boss, names: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const started = await boss.start();
  const { rows } = await started.getDb().executeSql(countCompleted(boss.schema), [names, WINDOW_SECONDS]);
  return new Map((rows as readonly CompletedJobs[]).map(({ name, completed }) => [name, completed / WINDOW_SECONDS]));
}

/** The index of pg-boss by queue and time of the end serves it: only the jobs of the last minute are read. */
function countCompleted(schema: string): string {
  // Seam: pg-boss/job-table
  return `select name, count(*)::int as completed
    from ${schema}.job
    where name = any($1::text[]) and state = 'completed'
      and completed_on > ${schema}.job_now() - $2::int * interval '1 second'
    group by name`;
}
