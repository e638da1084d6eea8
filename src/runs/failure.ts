import type { EntityManager } from '@mikro-orm/postgresql';

import { Factorisation } from './factorisation.entity.js';
import { toFailureReason } from './to-failure-reason.js';

const CHUNK = 1_000;

/** A failed job: the position of its number, the number, and the reason in words for clients. */
export interface Failure {
  readonly index: number;
  readonly number: number;
  readonly error: string;
}

export function toFailure(index: number, number: number, reason: unknown): Failure {
  return { index, number, error: toFailureReason(reason) };
}

/** Stores failures. Skips a job whose commit succeeded without an answer: its row exists. */
export async function storeFailures(session: EntityManager, run: string, failures: readonly Failure[]): Promise<void> {
  for (let start = 0; start < failures.length; start += CHUNK) {
    const rows = failures
      .slice(start, start + CHUNK)
      .map((failure) => ({ ...failure, run, status: 'failed' as const }));
    await session.createQueryBuilder(Factorisation).insert(rows).onConflict().ignore().execute();
  }
}
