import type { MikroORM } from '@mikro-orm/postgresql';

import { Item, POOL_SIZE, startPeer } from './applications.ts';
import type { Side } from './claim.ts';

/** What a user of MikroORM writes for one job. */
export async function insertOne({ em }: MikroORM, value: number): Promise<void> {
  await em.fork().transactional(async (fork) => fork.create(Item, { value }));
}

/** Inserts a row in a fork and a transaction for each input, in as many loops as the pool has connections. */
export async function insertByHand(inputs: number, databaseUrl: string): Promise<Side> {
  const orm = await startPeer(databaseUrl);
  const insertAll = async (values: Iterable<number>): Promise<void> => {
    for (const value of values) {
      await insertOne(orm, value);
    }
  };
  return {
    async round() {
      const values = Array(inputs).keys();
      await Promise.all(Array.from({ length: POOL_SIZE }, () => insertAll(values)));
    },
    close: () => orm.close(),
  };
}
