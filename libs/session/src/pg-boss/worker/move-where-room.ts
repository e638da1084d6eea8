/**
 * Moves jobs to another state: all at once, or one by one when there is no room for one of them in a queue with a policy.
 *
 * @returns those that have no room
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

/** Tells a violation of what is unique by the policy of a queue. */
function isPlaceTaken(error: unknown): boolean {
  return (error as { readonly code?: unknown } | null)?.code === '23505';
}
