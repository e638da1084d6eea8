import type { MikroORM } from '@mikro-orm/postgresql';

/** Any number that nobody else locks. */
const LOCK = 7_203_115;

/** Brings the schema up to date. Of several processes that start at once, one after the other. */
export async function migrate(orm: MikroORM): Promise<void> {
  await orm.em.fork().transactional(async (em) => {
    await em.execute('select pg_advisory_xact_lock(?)', [LOCK]);
    // On connections of its own, so that each migration is committed before the lock is given back.
    await orm.migrator.up();
  });
}
