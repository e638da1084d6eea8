import type { MikroORM } from '@mikro-orm/postgresql';

import { Item, POOL_SIZE, startPeer } from './applications.ts';
import type { Side } from './claim.ts';

/** What a user of MikroORM writes for one job. */
export async function insertOne({ em }: MikroORM, value: number): Promise<void> {
  await em.fork().transactional(async (fork) => fork.create(Item, { value }));
}

/** Works on all inputs in as many loops as the pool has connections. */
export async function inLoops(inputs: number, work: (value: number) => Promise<void>): Promise<void> {
  const values = Array(inputs).keys();
  const workOnAll = async (): Promise<void> => {
    for (const value of values) {
      await work(value);
    }
  };
  await Promise.all(Array.from({ length: POOL_SIZE }, workOnAll));
}

/** Inserts a row in a fork and a transaction for each input. */
export async function insertByHand(inputs: number, databaseUrl: string): Promise<Side> {
  const orm = await startPeer(databaseUrl);
  return {
    round: () => inLoops(inputs, (value) => insertOne(orm, value)),
    close: () => orm.close(),
  };
}
