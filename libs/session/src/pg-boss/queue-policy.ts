import type { Queue, WorkOptions } from 'pg-boss';

import type { QueueName } from './queue-inputs.js';

/** What pg-boss is told of a queue when it makes it: retries, expiry, heartbeat, dead letter, policy. */
export type QueuePolicy = Omit<Queue, 'name'>;

/** How pg-boss fetches for a handler: polling, priorities, groups. */
export type FetchPolicy = Omit<
  WorkOptions,
  | 'batchSize'
  | 'burstWhenBatchFull'
  | 'includeMetadata'
  | 'orderByCreatedOn'
  | 'perJobResults'
  | 'priority'
  | 'transactional'
  | 'transactionTimeoutSeconds'
>;

/** Options of `@JobHandler()`. What is not explained here is pg-boss's own. */
export interface JobHandlerOptions<Name extends QueueName = QueueName> extends QueuePolicy, FetchPolicy {
  readonly queue: Name;
  /** Which connection the sessions are of. @default the default connection */
  readonly contextName?: string;
  /**
   * How many jobs, or chunks, this process runs at once. It may be more than the pool has connections: each takes one with
   * its first statement, and waits for it there.
   *
   * @default 4, or the size of the pool where that is less
   */
  readonly localConcurrency?: number;
  /**
   * How many jobs share a session and a transaction. When one fails, the others are run again without it, as by
   * JobService.
   *
   * @default 1
   */
  readonly chunkSize?: number;
  /**
   * How many jobs, or chunks, are fetched at once to be run one after the other, each in a transaction of its own. Fetching
   * takes pg-boss longer than a small job does. All of them together have `expireInSeconds`, and those that wait are not
   * there for others.
   *
   * @default 1
   */
  readonly prefetch?: number;
  /** Whether `job.metadata` has what pg-boss knows of the job, which takes longer to fetch. @default false */
  readonly metadata?: boolean;
  /**
   * Where the input is in the data of a job. `field` is what JobQueue writes: `{ input }`. `data` is all of it, for a queue
   * that others fill; its jobs know nothing of the scope that sent them.
   *
   * @default 'field'
   */
  readonly input?: 'field' | 'data';
}

const FETCH_OPTIONS: ReadonlySet<string> = new Set([
  'pollingIntervalSeconds',
  'notifyPollingIntervalSeconds',
  'burstWhenReadyExceeds',
  'ignoreStartAfter',
  'minPriority',
  'maxPriority',
  'localGroupConcurrency',
  'groupConcurrency',
  'heartbeatRefreshSeconds',
] satisfies (keyof FetchPolicy)[]);

const OWN_OPTIONS: ReadonlySet<string> = new Set([
  'queue',
  'contextName',
  'localConcurrency',
  'chunkSize',
  'prefetch',
  'metadata',
  'input',
] satisfies (keyof JobHandlerOptions)[]);

/** Tells apart what is said to the queue and what to those who fetch from it. */
export function splitPolicy(options: JobHandlerOptions): { readonly queue: QueuePolicy; readonly fetch: FetchPolicy } {
  const entries = Object.entries(options);
  return {
    queue: Object.fromEntries(entries.filter(([name]) => !FETCH_OPTIONS.has(name) && !OWN_OPTIONS.has(name))),
    fetch: Object.fromEntries(entries.filter(([name]) => FETCH_OPTIONS.has(name))),
  };
}
