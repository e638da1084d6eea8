import { Item, POOL_SIZE, startPeer } from './applications.ts';
import type { Side } from './claim.ts';

/** Inserts a row in a fork and a transaction for each input, in as many loops as the pool has connections. */
export async function insertByHand(inputs: number, databaseUrl: string): Promise<Side> {
  const orm = await startPeer(databaseUrl);
  const insertAll = async (values: Iterable<number>): Promise<void> => {
    for (const value of values) {
      await orm.em.fork().transactional(async (em) => {
        em.create(Item, { value });
      });
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
