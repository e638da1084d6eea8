import type { FetchPolicy } from '../queue-policy.js';

type GroupLimit = FetchPolicy['localGroupConcurrency'];

/** The highest priority of a job in pg-boss. */
const HIGHEST_PRIORITY = 2_147_483_647;

/** Returns the largest number of jobs of one group that may run at once, or 1 without such a limit. */
export function largestOf(limit: GroupLimit): number {
  if (typeof limit !== 'object') {
    return limit ?? 1;
  }
  return Math.max(limit.default, ...Object.values(limit.tiers ?? {}));
}

/**
 * Returns the options of one lane. pg-boss accepts no limit above the number of workers of one call of `work()`. It
 * counts the jobs of each group for all calls together.
 */
export function limitedToOne(fetch: FetchPolicy): FetchPolicy {
  return largestOf(fetch.localGroupConcurrency) > 1 ? { ...fetch, localGroupConcurrency: 1 } : fetch;
}

/** Returns the options of workers that bring their limit with them, and fetch nothing. */
export function groupLimit(
  fetch: FetchPolicy,
): Omit<FetchPolicy, 'maxPriority'> & { readonly localConcurrency: number } {
  const { maxPriority: _, ...rest } = fetch;
  return { ...rest, minPriority: HIGHEST_PRIORITY, localConcurrency: largestOf(fetch.localGroupConcurrency) };
}
