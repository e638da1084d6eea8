import type { EntityManager } from '@mikro-orm/postgresql';
import { SessionFactory } from 'nestjs-mikro-session';

import { Item, POOL_SIZE, startOurs, startPeer } from './applications.ts';
import type { Claim } from './claim.ts';

const CROWD = 500;
const TRANSACTIONS = 3;

/** What it costs to know of everybody who waits for a connection, of which an application under load has many. */
export const crowdClaim: Claim = {
  title: `${CROWD} at once with ${TRANSACTIONS} transactions each that insert a row, on ${POOL_SIZE} connections`,
  peer: 'em.fork() and em.transactional() by hand',
  atMost: 1.35,
  rounds: 31,
  async ours(databaseUrl) {
    const app = await startOurs(databaseUrl);
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    return {
      round: () => inCrowd(() => factory.run(insertRows)),
      close: () => app.close(),
    };
  },
  async theirs(databaseUrl) {
    const orm = await startPeer(databaseUrl);
    return {
      round: () => inCrowd(() => insertRows(orm.em.fork())),
      close: () => orm.close(),
    };
  },
};

async function insertRows(em: EntityManager): Promise<void> {
  for (let value = 0; value < TRANSACTIONS; value += 1) {
    await em.transactional((inner) => inner.create(Item, { value }));
  }
}

async function inCrowd(work: () => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: CROWD }, work));
}
