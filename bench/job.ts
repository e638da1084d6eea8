import { POOL_SIZE } from './applications.ts';
import { insertByHand } from './by-hand.ts';
import type { Claim } from './claim.ts';
import { insertInJobs, JOBS } from './in-jobs.ts';

/** What a job that inserts a row and commits costs over the same written by hand. */
export const jobClaim: Claim = {
  title: `${JOBS} jobs that insert a row and commit, ${POOL_SIZE} at once`,
  peer: 'em.fork() and em.transactional() in as many loops',
  atMost: 1.05,
  rounds: 31,
  ours: (databaseUrl) => insertInJobs(JOBS, databaseUrl),
  theirs: (databaseUrl) => insertByHand(JOBS, databaseUrl),
};
