/**
 * Moves jobs to another state: all at once, or one by one when the policy of the queue does not allow one of them.
 *
 * @returns the jobs that the policy did not allow
 */
export async function moveWhereRoom<Job>(
  jobs: readonly Job[],
  move: (jobs: readonly Job[]) => Promise<void>,
): Promise<readonly Job[]> {
  try {
    await move(jobs);
    return [];
  } catch (error) {
    if (!isPlaceTaken(error)) {
      throw error;
    }
    if (jobs.length === 1) {
      return jobs;
    }
    const left: Job[] = [];
    for (const one of jobs) {
      left.push(...(await moveWhereRoom([one], move)));
    }
    return left;
  }
}

/** Whether an error is a violation of a unique index of the policies of queues. */
function isPlaceTaken(error: unknown): boolean {
  return (error as { readonly code?: unknown } | null)?.code === '23505';
}
