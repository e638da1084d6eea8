import type { MikroORM } from '@mikro-orm/postgresql';
import pLimit from 'p-limit';

import { Item, POOL_SIZE, startPeer } from './applications.ts';
import type { Side } from './claim.ts';

interface ByHandOptions {
  readonly inputs: number;
  /** Runs the work on all inputs, some at once. @default inLoops */
  readonly schedule?: (inputs: number, work: (value: number) => Promise<void>) => Promise<void>;
  /** @default POOL_SIZE */
  readonly connections?: number;
}

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

/** Works on all inputs with p-limit. */
export async function inLimit(
  inputs: number,
  work: (value: number) => Promise<void>,
  concurrency = POOL_SIZE,
): Promise<void> {
  const limit = pLimit(concurrency);
  await Promise.all(Array.from({ length: inputs }, (_, value) => limit(work, value)));
}

/** Does with MikroORM as it is what is written for one input. */
export async function workByHand(
  databaseUrl: string,
  work: (orm: MikroORM, value: number) => Promise<unknown>,
  { inputs, schedule = inLoops, connections }: ByHandOptions,
): Promise<Side> {
  const orm = await startPeer(databaseUrl, connections);
  return {
    round: () => schedule(inputs, async (value) => void (await work(orm, value))),
    close: () => orm.close(),
  };
}
