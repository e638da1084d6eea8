import type { EntityManager } from '@mikro-orm/core';

import { hideTransaction } from '../transaction/hide-transaction.js';
import { reportEndFailure } from './report-end-failure.js';
import type { LiveScope } from './live-scope.js';
import type { ScopeStorage } from './scope-storage.js';

/**
 * Runs `work` in a scope and ends the scope when `work` has settled. An error of `work` is thrown rather than an error
 * of the end.
 *
 * @param isolating the contextual EntityManager that hides an open transaction of the caller
 */
export function runInScope<Result>(
  storage: ScopeStorage,
  scope: LiveScope,
  isolating: EntityManager,
  work: () => Promise<Result>,
): Promise<Result> {
  const run = (): Promise<Result> => storage.run(scope, () => hideTransaction(isolating, () => endAfter(scope, work)));
  return storage.observer?.run === undefined ? run() : storage.observer.run(scope, run);
}

/** Ends a scope when its work has settled. */
export async function endAfter<Result>(scope: LiveScope, work: () => Promise<Result>): Promise<Result> {
  let result: Result;
  try {
    result = await work();
  } catch (error) {
    await scope.end('threw').catch((endError: unknown) => reportEndFailure(scope, endError));
    scope.notes?.failed(error);
    throw error;
  }
  await scope.end('returned');
  return result;
}
