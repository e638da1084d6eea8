import pMap from 'p-map';
import { Pool } from 'pg';

import { emptyTable, POOL_SIZE } from './applications.ts';
import { inLimit, insertOne, workByHand } from './by-hand.ts';
import type { Claim } from './claim.ts';
import { JOBS } from './in-jobs.ts';
import { jobClaim } from './job.ts';
import { throughNetwork } from './network.ts';

/** Jobs against p-limit with a fork by hand. */
export const limitClaim: Claim = {
  ...jobClaim,
  peer: 'p-limit, em.fork() and em.transactional() by hand',
  theirs: (databaseUrl) => workByHand(databaseUrl, insertOne, { inputs: JOBS, schedule: inLimit }),
};

/** Jobs against p-map with a fork by hand. */
export const mapClaim: Claim = {
  ...jobClaim,
  peer: 'p-map, em.fork() and em.transactional() by hand',
  theirs: (databaseUrl) =>
    workByHand(databaseUrl, insertOne, {
      inputs: JOBS,
      schedule: async (inputs, work) => void (await pMap(Array(inputs).keys(), work, { concurrency: POOL_SIZE })),
    }),
};

/** Jobs against node-postgres by hand, without any unit of work. It tells what MikroORM costs, ours or theirs. */
export const pgClaim: Claim = {
  ...jobClaim,
  peer: 'p-limit and pg by hand: begin, insert, commit',
  atMost: 1.35,
  async theirs(databaseUrl) {
    await emptyTable(databaseUrl);
    const pool = new Pool({ connectionString: databaseUrl, min: POOL_SIZE, max: POOL_SIZE });
    const insert = async (value: number): Promise<void> => {
      const client = await pool.connect();
      await client.query('begin');
      await client.query('insert into "item" ("value") values ($1)', [value]);
      await client.query('commit');
      client.release();
    };
    return {
      round: () => inLimit(JOBS, insert),
      close: () => pool.end(),
    };
  },
};

export const remoteLimitClaim = throughNetwork({ ...limitClaim, atMost: 0.72 });
export const remotePgClaim = throughNetwork({ ...pgClaim, atMost: 0.8 });
