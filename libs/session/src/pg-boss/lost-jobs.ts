import type { PgBoss } from 'pg-boss';

import type { FetchedJob } from './queue-job.js';

/**
 * Finds the jobs whose last attempt has not ended: their process died, or did not answer any more. Each of them may be the
 * one that it died of.
 */
export async function findLostJobs(
  boss: PgBoss,
  queue: string,
  jobs: readonly FetchedJob[],
): Promise<ReadonlySet<FetchedJob>> {
  const lost = new Set<FetchedJob>();
  const retried = jobs.filter(({ retryCount }) => retryCount > 0);
  await Promise.all(
    retried.map(async (job) => {
      const stored = await boss.getJobById<unknown>(queue, job.id);
      if (isExpired(stored?.output)) {
        lost.add(job);
      }
    }),
  );
  return lost;
}

/** What a handler fails with is stored as an error. What pg-boss fails a job with that has expired is stored as a value. */
function isExpired(output: unknown): boolean {
  // Seam: pg-boss/expired-output
  const { value } = (output ?? {}) as { readonly value?: { readonly message?: unknown } | null };
  return typeof value?.message === 'string';
}
