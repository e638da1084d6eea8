import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { InjectSession, type JobChunkWorker } from 'nestjs-mikro-session';

import { Item, POOL_SIZE } from './applications.ts';
import { insertOne, workByHand } from './by-hand.ts';
import type { Claim, Side } from './claim.ts';
import { type InJobsOptions, insertInJobs } from './in-jobs.ts';

const INPUTS = 6_000;
const CHUNK = 100;

/** Inserts the rows of a chunk with one statement. */
class InsertManyWorker implements JobChunkWorker<number, void> {
  readonly #session: EntityManager;

  constructor(session: EntityManager) {
    this.#session = session;
  }

  async handleMany(values: readonly number[]): Promise<void[]> {
    await insertMany(this.#session, values);
    return values.map(() => undefined);
  }
}
Reflect.decorate([Injectable()], InsertManyWorker);
InjectSession()(InsertManyWorker, undefined, 0);

async function insertMany(em: EntityManager, values: readonly number[]): Promise<void> {
  await em.insertMany(
    Item,
    values.map((value) => ({ value })),
  );
}

async function flushMany(em: EntityManager, values: readonly number[]): Promise<void> {
  values.forEach((value) => em.create(Item, { value }));
  await em.flush();
}

function inChunks(databaseUrl: string, options?: InJobsOptions): Promise<Side> {
  return insertInJobs(INPUTS, databaseUrl, { ...options, jobOptions: { chunkSize: CHUNK } });
}

function inChunksByHand(
  databaseUrl: string,
  work: (em: EntityManager, values: readonly number[]) => Promise<void>,
): Promise<Side> {
  const workOnChunk = ({ em }: MikroORM, nth: number): Promise<void> =>
    work(
      em.fork(),
      Array.from({ length: CHUNK }, (_, index) => nth * CHUNK + index),
    );
  return workByHand(databaseUrl, workOnChunk, { inputs: INPUTS / CHUNK });
}

/** What chunks save over the same inputs one by one, written by hand. */
export const chunkClaim: Claim = {
  title: `${INPUTS} inputs in chunks of ${CHUNK}, ${POOL_SIZE} at once`,
  peer: 'em.fork() and em.transactional() for each input, in as many loops',
  atMost: 1 / 12,
  rounds: 31,
  ours: (databaseUrl) => inChunks(databaseUrl),
  theirs: (databaseUrl) => workByHand(databaseUrl, insertOne, { inputs: INPUTS }),
};

/** What chunks cost over chunks by hand, of which nobody knows which inputs failed. */
export const chunkFlushClaim: Claim = {
  ...chunkClaim,
  peer: `em.fork() and one em.flush() for each ${CHUNK}, in as many loops`,
  atMost: 1.02,
  theirs: (databaseUrl) => inChunksByHand(databaseUrl, flushMany),
};

/** The same with one statement for a chunk. */
export const chunkInsertClaim: Claim = {
  ...chunkClaim,
  title: `${chunkClaim.title}, handleMany with insertMany`,
  peer: `em.fork() and em.insertMany() for each ${CHUNK}, in as many loops`,
  atMost: 1.05,
  ours: (databaseUrl) => inChunks(databaseUrl, { providers: [InsertManyWorker], worker: InsertManyWorker }),
  theirs: (databaseUrl) => inChunksByHand(databaseUrl, insertMany),
};
