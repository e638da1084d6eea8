import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';

import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService } from 'nestjs-mikro-session';
import { Piscina } from 'piscina';

import { emptyTable, POOL_SIZE, startOurs } from './applications.ts';
import type { Claim, Side } from './claim.ts';
import { ComputeWorker } from './compute.ts';

const THREADS = 2;

/** A prime that takes about half a millisecond to be found one. */
const PRIME = 9_999_999_967;
const JOBS = 300;

/** A prime that takes about 17 milliseconds. */
const LARGE_PRIME = 9_999_999_999_971;
const LARGE_JOBS = 64;

/** What the threads of the peer are told. */
export interface HandData {
  readonly databaseUrl: string;
  readonly connections: number;
}

/** Factorises in jobs, as many at once as the pool has connections. */
async function compute(
  databaseUrl: string,
  threads: number,
  { jobs: count, number }: { readonly jobs: number; readonly number: number },
): Promise<Side> {
  await emptyTable(databaseUrl);
  const app = await startOurs(databaseUrl, {
    injection: 'contextual',
    providers: [ComputeWorker],
    session: { threads: { application: new URL('./thread-application.ts', import.meta.url), data: databaseUrl } },
  });
  const jobs = app.get<JobService<EntityManager>>(JobService);
  const numbers = Array<number>(count).fill(number);
  return {
    round: async () => void (await jobs.map(numbers, ComputeWorker, { threads, concurrency: POOL_SIZE })),
    close: () => app.close(),
  };
}

/** Returns the delay of the event loop that 99% of its turns stay below, in place of the time that passes. */
async function countDelay(starting: Promise<Side>): Promise<Side> {
  const { round, close } = await starting;
  return {
    async round() {
      const delay = monitorEventLoopDelay({ resolution: 1 });
      delay.enable();
      await round();
      delay.disable();
      return delay.percentile(99) / 1e6;
    },
    close,
  };
}

async function computeByHand(databaseUrl: string): Promise<Side> {
  await emptyTable(databaseUrl);
  const data: HandData = { databaseUrl, connections: POOL_SIZE / THREADS };
  const pool = new Piscina({
    filename: fileURLToPath(new URL('./thread-by-hand.ts', import.meta.url)),
    minThreads: THREADS,
    maxThreads: THREADS,
    concurrentTasksPerWorker: POOL_SIZE / THREADS,
    workerData: data,
  });
  return {
    round: async () =>
      void (await Promise.all(Array.from({ length: JOBS }, () => pool.run(PRIME, { name: 'compute' })))),
    close: () => pool.destroy(),
  };
}

const large = { jobs: LARGE_JOBS, number: LARGE_PRIME };

/** What threads spare the event loop. */
export const threadDelayClaim: Claim = {
  title: `delay of the event loop (p99) while ${LARGE_JOBS} jobs of 17 ms compute in 1 thread`,
  peer: 'the same jobs without threads',
  atMost: 0.2,
  rounds: 5,
  ours: (databaseUrl) => countDelay(compute(databaseUrl, 1, large)),
  theirs: (databaseUrl) => countDelay(compute(databaseUrl, 0, large)),
};

/** What a job in a thread costs over the same written by hand. */
export const threadClaim: Claim = {
  title: `${JOBS} jobs that compute for half a millisecond and insert a row, in ${THREADS} threads`,
  peer: 'piscina by hand, em.fork() and em.transactional() in as many threads',
  atMost: 1.15,
  rounds: 31,
  ours: (databaseUrl) => compute(databaseUrl, THREADS, { jobs: JOBS, number: PRIME }),
  theirs: computeByHand,
};
