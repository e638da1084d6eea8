import { POOL_SIZE } from './applications.ts';
import { insertOne, workByHand } from './by-hand.ts';
import type { Claim } from './claim.ts';
import { insertInJobs, JOBS } from './in-jobs.ts';

/** What a job that inserts a row and commits takes of the time of the same written by hand. */
export const jobClaim: Claim = {
  title: `${JOBS} jobs that insert a row and commit, ${POOL_SIZE} at once`,
  peer: 'em.fork() and em.transactional() in as many loops',
  atMost: 0.85,
  rounds: 31,
  ours: (databaseUrl) => insertInJobs(JOBS, databaseUrl),
  theirs: (databaseUrl) => workByHand(databaseUrl, insertOne, { inputs: JOBS }),
};
