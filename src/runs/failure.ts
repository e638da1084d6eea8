import type { EntityManager } from '@mikro-orm/postgresql';

import { Factorisation } from './factorisation.entity.js';
import { toFailureReason } from './to-failure-reason.js';

const CHUNK = 1_000;

/** A job that failed: the place of its number, the number, and why, in words for clients. */
export interface Failure {
  readonly index: number;
  readonly number: number;
  readonly error: string;
}

export function toFailure(index: number, number: number, reason: unknown): Failure {
  return { index, number, error: toFailureReason(reason) };
}

/** Leaves out the job whose commit succeeded but was not answered: its row is there. */
export async function storeFailures(session: EntityManager, run: string, failures: readonly Failure[]): Promise<void> {
  for (let start = 0; start < failures.length; start += CHUNK) {
    const rows = failures
      .slice(start, start + CHUNK)
      .map((failure) => ({ ...failure, run, status: 'failed' as const }));
    await session.createQueryBuilder(Factorisation).insert(rows).onConflict().ignore().execute();
  }
}
