import { POOL_SIZE } from './applications.ts';
import { insertByHand } from './by-hand.ts';
import type { Claim } from './claim.ts';
import { insertInJobs } from './in-jobs.ts';

const INPUTS = 6_000;
const CHUNK = 100;

/** What chunks save over the same inputs one by one, written by hand. */
export const chunkClaim: Claim = {
  title: `${INPUTS} inputs in chunks of ${CHUNK}, ${POOL_SIZE} at once`,
  peer: 'em.fork() and em.transactional() for each input, in as many loops',
  atMost: 1 / 12,
  rounds: 31,
  ours: (databaseUrl) => insertInJobs(INPUTS, databaseUrl, { jobOptions: { chunkSize: CHUNK } }),
  theirs: (databaseUrl) => insertByHand(INPUTS, databaseUrl),
};
