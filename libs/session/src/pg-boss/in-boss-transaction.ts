import type { Db, PgBoss } from 'pg-boss';

import { SessionSetupError } from '../session/session-error.js';

/** Runs `work` in a transaction on a connection of pg-boss, outside of sessions and tenants. */
export async function inBossTransaction<Result>(
  boss: PgBoss,
  work: (connection: { readonly db: Db }) => Promise<Result>,
): Promise<Result> {
  // Seam: pg-boss/begin-transaction
  const transaction = await boss.getDb().beginTransaction?.();
  if (transaction === undefined) {
    throw new SessionSetupError(
      'The option `db` of pg-boss cannot begin transactions. Give it a method `beginTransaction()`, or leave it out.',
    );
  }
  try {
    const result = await work({ db: transaction.db });
    await transaction.commit();
    return result;
  } catch (error) {
    await transaction.rollback();
    throw error;
  }
}
