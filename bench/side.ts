// A process of its own for one side of one claim, so that neither spoils what the engine has learnt of the other. It
// runs one round for each message and answers with its milliseconds.
import 'reflect-metadata';

import type { Claim } from './claim.ts';
import { chunkClaim, chunkFlushClaim, chunkInsertClaim } from './chunks.ts';
import { crowdClaim } from './crowd.ts';
import { httpClaims } from './http.ts';
import { jobClaim } from './job.ts';
import { limitClaim, mapClaim, pgClaim, remoteLimitClaim, remotePgClaim } from './peers.ts';
import { queueChunkClaim, queueClaim, queuePrefetchClaim, sendClaim } from './queue.ts';
import { bullmqPostgresClaim, bullmqRedisClaim, graphileClaim } from './queue-peers.ts';
import { rowLevelSecurityClaim } from './row-level-security.ts';
import { scopeClaim } from './scope.ts';
import { sqlalchemyChunkClaim, sqlalchemyClaim } from './sqlalchemy.ts';
import { testClaim, testDatabaseClaim } from './tests.ts';
import { threadClaim, threadDelayClaim } from './threads.ts';
import { transactionHostClaim } from './transaction-host.ts';
import { waitClaim } from './wait.ts';
import { contextualWorkerClaim, requestWorkerClaim } from './workers.ts';

export const claims: Readonly<Record<string, Claim>> = {
  scope: scopeClaim,
  crowd: crowdClaim,
  job: jobClaim,
  'p-limit': limitClaim,
  'p-map': mapClaim,
  'request-worker': requestWorkerClaim,
  'contextual-worker': contextualWorkerClaim,
  wait: waitClaim,
  chunk: chunkClaim,
  'chunk-flush': chunkFlushClaim,
  'chunk-insert': chunkInsertClaim,
  'thread-delay': threadDelayClaim,
  thread: threadClaim,
  sqlalchemy: sqlalchemyClaim,
  'sqlalchemy-chunk': sqlalchemyChunkClaim,
  pg: pgClaim,
  'remote-job': remoteLimitClaim,
  'remote-pg': remotePgClaim,
  'remote-row-level-security': rowLevelSecurityClaim,
  'transaction-host': transactionHostClaim,
  'queue-single': queueClaim,
  'queue-prefetch': queuePrefetchClaim,
  'queue-chunk': queueChunkClaim,
  'queue-send': sendClaim,
  'queue-graphile': graphileClaim,
  'queue-bullmq': bullmqPostgresClaim,
  'queue-bullmq-redis': bullmqRedisClaim,
  test: testClaim,
  'test-database': testDatabaseClaim,
  ...httpClaims,
};

async function serve(claim: Claim, side: 'ours' | 'theirs', databaseUrl: string): Promise<void> {
  const { round, close } = await claim[side](databaseUrl);
  process.on('message', () => {
    const start = performance.now();
    round().then(
      (counted) => process.send?.(counted ?? performance.now() - start),
      (error: unknown) => {
        throw error;
      },
    );
  });
  process.once('disconnect', () => void close());
  process.send?.('ready');
}

const [, , name = '', side, databaseUrl = ''] = process.argv;
const claim = claims[name];
if (claim !== undefined && (side === 'ours' || side === 'theirs')) {
  await serve(claim, side, databaseUrl);
}
