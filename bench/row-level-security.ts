import { type EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { SessionFactory } from 'nestjs-mikro-session';

import { Item, options, POOL_SIZE, prepare, startOurs } from './applications.ts';
import { inLoops } from './by-hand.ts';
import type { Claim } from './claim.ts';
import { throughNetwork } from './network.ts';

const REQUESTS = 2_000;

/** A role that each server has since version 14, and that policies hold for. */
const fork = { session: { role: 'pg_read_all_data', variables: { 'app.tenant': 1 } } };

/** What the transaction of a tenant takes, whose settings travel with its query. */
export const rowLevelSecurityClaim: Claim = throughNetwork({
  title: `${REQUESTS} transactions with row-level security and one query, ${POOL_SIZE} at once`,
  peer: 'em.fork({ session }) and em.transactional() by hand',
  atMost: 0.8,
  async ours(databaseUrl) {
    const app = await startOurs(databaseUrl, { session: { fork } });
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    return {
      round: () => inLoops(REQUESTS, () => factory.begin(query)),
      close: () => app.close(),
    };
  },
  async theirs(databaseUrl) {
    await prepare(databaseUrl);
    const orm = await MikroORM.init(options(databaseUrl));
    await orm.schema.execute(`
      alter table item enable row level security;
      create policy own on item using (value = current_setting('app.tenant')::int);
    `);
    return {
      round: () => inLoops(REQUESTS, () => orm.em.fork(fork).transactional(query)),
      close: () => orm.close(),
    };
  },
});

async function query(em: EntityManager): Promise<void> {
  await em.findOneOrFail(Item, 1);
}
