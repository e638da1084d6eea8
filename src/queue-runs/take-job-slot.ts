import type { EntityManager } from '@mikro-orm/postgresql';

export interface SlotOptions {
  readonly runId: string;
  /** The number of jobs of the run that may work at once. */
  readonly concurrency: number;
  readonly index: number;
}

/**
 * Takes one of the slots of a run until the end of the transaction, or waits for one. pg-boss limits the running jobs
 * of a run, but not exactly: workers that fetch at the same moment do not see each other's jobs.
 */
export async function takeJobSlot(session: EntityManager, { runId, concurrency, index }: SlotOptions): Promise<void> {
  const free = await session.execute(
    `select slot from generate_series(0, ?::int - 1) as slot where pg_try_advisory_xact_lock(hashtext(?), slot) limit 1`,
    [concurrency, runId],
  );
  if (free.length === 0) {
    await session.execute('select pg_advisory_xact_lock(hashtext(?), ?::int)', [runId, index % concurrency]);
  }
}
