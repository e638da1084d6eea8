import { setTimeout as pause } from 'node:timers/promises';

import type { EntityManager } from '@mikro-orm/postgresql';

import { Item } from './applications.ts';
import { inLimit, workByHand } from './by-hand.ts';
import type { Claim } from './claim.ts';
import { insertInJobs } from './in-jobs.ts';

const JOBS = 100;
const WAIT_MS = 50;
const CONNECTIONS = 5;

/** Waits as for a web service, and then inserts a row. */
async function insertLater(em: EntityManager, value: number): Promise<void> {
  await pause(WAIT_MS);
  em.create(Item, { value });
}

/** What it saves that a job takes its connection with its first statement, where it does something else before. */
export const waitClaim: Claim = {
  title: `${JOBS} jobs that wait ${WAIT_MS} ms and insert a row, all at once on ${CONNECTIONS} connections`,
  peer: 'p-limit, em.fork() and em.transactional() around both, by hand',
  atMost: 0.15,
  ours: (databaseUrl) =>
    insertInJobs(JOBS, databaseUrl, {
      connections: CONNECTIONS,
      worker: insertLater,
      jobOptions: { concurrency: JOBS },
    }),
  theirs: (databaseUrl) =>
    workByHand(databaseUrl, ({ em }, value) => em.fork().transactional((fork) => insertLater(fork, value)), {
      inputs: JOBS,
      schedule: (inputs, work) => inLimit(inputs, work, JOBS),
      connections: CONNECTIONS,
    }),
};
