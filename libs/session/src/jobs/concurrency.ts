import { inspect } from 'node:util';

import type { MikroORM } from '@mikro-orm/core';

const DEFAULT_CONCURRENCY = 4;

interface PoolLike {
  readonly options: { readonly max: number };
}

function isPool(client: unknown): client is PoolLike {
  const options = (client as Partial<PoolLike> | undefined)?.options;
  return typeof options?.max === 'number';
}

/** Asks the pool of the connection for its size, which driver options may have set beside MikroORM's own. */
async function getPoolSize(orm: MikroORM): Promise<number> {
  const connection = orm.driver.getConnection('write') as { getNativeClient?: () => Promise<unknown> };
  const client = await connection.getNativeClient?.();
  return isPool(client) ? client.options.max : (orm.config.get('pool')?.max ?? DEFAULT_CONCURRENCY);
}

/** Gives the number of jobs to run at once: as asked for, but not above the size of the pool. */
export async function getConcurrency(orm: MikroORM, wanted: number = DEFAULT_CONCURRENCY): Promise<number> {
  if (!Number.isInteger(wanted) || wanted < 1) {
    throw new TypeError(
      `Expected \`concurrency\` to be an integer of 1 or more, got \`${inspect(wanted)}\` (${typeof wanted}).`,
    );
  }
  return Math.min(wanted, await getPoolSize(orm));
}
