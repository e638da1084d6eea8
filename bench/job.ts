import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService } from 'nestjs-mikro-session';

import { Item, POOL_SIZE, startOurs } from './applications.ts';
import { insertByHand } from './by-hand.ts';
import type { Claim } from './claim.ts';

const JOBS = 3_000;

function insert(session: EntityManager, value: number): void {
  session.create(Item, { value });
}

/** What a job that inserts a row and commits costs over the same written by hand. */
export const jobClaim: Claim = {
  title: `${JOBS} jobs that insert a row and commit, ${POOL_SIZE} at once`,
  peer: 'em.fork() and em.transactional() in as many loops',
  atMost: 1.05,
  rounds: 21,
  async ours(databaseUrl) {
    const app = await startOurs(databaseUrl);
    const jobs = app.get<JobService<EntityManager>>(JobService);
    return {
      round: async () => void (await jobs.map(Array(JOBS).keys(), insert, { concurrency: POOL_SIZE })),
      close: () => app.close(),
    };
  },
  theirs: (databaseUrl) => insertByHand(JOBS, databaseUrl),
};
