import type { Queue, UpdateQueueOptions, WorkOptions } from 'pg-boss';

import type { BeginOptions } from '../session/transaction/begin-options.js';
import type { QueueName } from './queue-inputs.js';

/** The options of a queue that null takes back. */
type TakenBack = 'deadLetter' | 'retryDelayMax' | 'heartbeatSeconds';

/**
 * Options of a queue of pg-boss: retries, expiry, heartbeat, dead letter, policy. Those that are left out stay as they
 * were. Null takes back a dead letter queue, a limit of the delay or a heartbeat.
 */
export type QueuePolicy = Omit<Queue, 'name' | TakenBack> & Pick<UpdateQueueOptions, TakenBack>;

/** Options of the fetch of pg-boss for a handler: polling, priorities, groups. */
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

/** Options of `@JobHandler()`. Options without an explanation here are those of pg-boss. */
export interface JobHandlerOptions<Name extends QueueName = QueueName> extends QueuePolicy, FetchPolicy {
  /** The name of the queue. */
  readonly queue: Name;
  /** The name of the connection of the sessions. @default the default connection */
  readonly contextName?: string;
  /**
   * The number of jobs, or chunks, that this process runs at once. It may be more than the connections of the pool: a
   * job takes, and waits for, a connection at its first statement.
   *
   * @default 4, or the size of the pool where that is less
   */
  readonly localConcurrency?: number;
  /**
   * The number of jobs that share a session and a transaction. When one fails, the others are run again without it, as
   * in JobService.
   *
   * @default 1
   */
  readonly chunkSize?: number;
  /**
   * The number of jobs, or chunks, that are fetched at once. They are run one after the other, each in a transaction of
   * its own. A fetch takes longer than a small job. All jobs of a fetch together have `expireInSeconds`, and no other
   * process can take those that wait.
   *
   * @default 1
   */
  readonly prefetch?: number;
  /**
   * Options of the transactions of the jobs, as in JobService. They are never read-only, because the job is completed
   * in them. With an isolation level above `read committed`, the jobs cannot have `heartbeatSeconds`.
   */
  readonly transaction?: Omit<BeginOptions, 'readOnly'>;
  /** Whether `job.metadata` is set. The fetch takes longer then. @default false */
  readonly metadata?: boolean;
  /**
   * Where the input of a job is. `field`: in the form that JobQueue writes, `{ input }`. `data`: the whole data of the
   * job is the input, for a queue that other programs fill. Such jobs have no `info` of a sending scope.
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
  'transaction',
] satisfies (keyof JobHandlerOptions)[]);

/** Splits the options into those of the queue and those of the fetch. */
export function splitPolicy(options: JobHandlerOptions): { readonly queue: QueuePolicy; readonly fetch: FetchPolicy } {
  const entries = Object.entries(options);
  return {
    queue: Object.fromEntries(entries.filter(([name]) => !FETCH_OPTIONS.has(name) && !OWN_OPTIONS.has(name))),
    fetch: Object.fromEntries(entries.filter(([name]) => FETCH_OPTIONS.has(name))),
  };
}
