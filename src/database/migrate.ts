import type { MikroORM } from '@mikro-orm/postgresql';

/** The key of the advisory lock: any number that nobody else uses. */
const LOCK = 7_203_115;

/** Updates the schema. Processes that start at the same time do it one after the other. */
export async function migrate(orm: MikroORM): Promise<void> {
  await orm.em.fork().transactional(async (em) => {
    await em.execute('select pg_advisory_xact_lock(?)', [LOCK]);
    // Migrations run on connections of their own, so that each is committed before the lock is released.
    await orm.migrator.up();
  });
}
