import type { EntityManager } from '@mikro-orm/postgresql';

export interface SlotOptions {
  readonly runId: string;
  /** How many jobs of the run may work at once. */
  readonly concurrency: number;
  readonly index: number;
}

/**
 * Takes one of the slots of a run for the time of a transaction, or waits for one. pg-boss hands out no more jobs of a run
 * than may work at once, unless several of its workers ask for one at the same moment: each does not see the others then.
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
