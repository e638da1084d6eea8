import pLimit from 'p-limit';
import pMap from 'p-map';
import { Pool } from 'pg';

import { emptyTable, POOL_SIZE, startPeer } from './applications.ts';
import { inLoops, insertOne } from './by-hand.ts';
import type { Claim } from './claim.ts';
import { insertInJobs, JOBS } from './in-jobs.ts';

const ours: Claim['ours'] = (databaseUrl) => insertInJobs(JOBS, databaseUrl);

/** Jobs against p-limit with a fork by hand. */
export const limitClaim: Claim = {
  title: `${JOBS} jobs that insert a row and commit, ${POOL_SIZE} at once`,
  peer: 'p-limit, em.fork() and em.transactional() by hand',
  atMost: 1 / 0.97,
  rounds: 31,
  ours,
  async theirs(databaseUrl) {
    const orm = await startPeer(databaseUrl);
    const limit = pLimit(POOL_SIZE);
    return {
      round: async () =>
        void (await Promise.all(Array.from({ length: JOBS }, (_, value) => limit(insertOne, orm, value)))),
      close: () => orm.close(),
    };
  },
};

/** Jobs against p-map with a fork by hand. */
export const mapClaim: Claim = {
  ...limitClaim,
  peer: 'p-map, em.fork() and em.transactional() by hand',
  async theirs(databaseUrl) {
    const orm = await startPeer(databaseUrl);
    return {
      round: async () =>
        void (await pMap(Array(JOBS).keys(), (value) => insertOne(orm, value), { concurrency: POOL_SIZE })),
      close: () => orm.close(),
    };
  },
};

/** Jobs against node-postgres by hand, without any unit of work. It tells what MikroORM costs, ours or theirs. */
export const pgClaim: Claim = {
  title: limitClaim.title,
  peer: 'pg by hand: begin, insert, commit',
  ours,
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
      round: () => inLoops(JOBS, insert),
      close: () => pool.end(),
    };
  },
};
