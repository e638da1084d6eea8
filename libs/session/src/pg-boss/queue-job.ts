import type { Job, JobWithMetadata } from 'pg-boss';

import type { JobContext } from '../jobs/job-worker.js';
import type { ScopeInfo } from '../session/scope/scope-info.js';
import { type QueueMessage, readMessage } from './message/queue-message.js';

/** Describes a durable job to its handler. */
export interface QueueJobContext extends JobContext {
  /**
   * The id that `send()` returned. It is the same in every attempt: use it as the idempotency key of calls to other
   * services.
   */
  readonly id: string;
  /** The name of the queue. */
  readonly queue: string;
  /** The metadata of pg-boss. Set with the option `metadata` of the handler. */
  readonly metadata?: JobMetadata;
}

/**
 * The metadata of a job in pg-boss: its priority, keys, group, limits and times. For a dead letter, also its queue and
 * the reason (`sourceName`, `sourceOutput`).
 */
export type JobMetadata = Omit<JobWithMetadata<unknown>, 'id' | 'name' | 'data' | 'signal'>;

/** A fetched job. `retryCount` identifies the attempt. */
export type FetchedJob = Omit<Job<unknown>, 'heartbeatSeconds'> & Partial<Pick<Job<unknown>, 'heartbeatSeconds'>>;

/** A job with its input and info. */
export class QueueJob {
  readonly id: string;
  readonly retryCount: number;
  readonly #queue: string;
  readonly #message: QueueMessage;
  readonly #metadata: JobMetadata | undefined;

  /** @throws {TypeError} for data that JobQueue did not write, unless the whole data is the input */
  constructor(job: FetchedJob, input: 'field' | 'data' = 'field') {
    this.id = job.id;
    this.retryCount = job.retryCount;
    this.#queue = job.name;
    this.#message = input === 'data' ? { input: job.data } : readMessage(job);
    this.#metadata = findMetadata(job);
  }

  get input(): unknown {
    return this.#message.input;
  }

  get info(): ScopeInfo | undefined {
    return this.#message.info;
  }

  describe(job: JobContext): QueueJobContext {
    const { index = 0 } = this.#message;
    return {
      index,
      attempt: this.retryCount + 1,
      get signal() {
        return job.signal;
      },
      id: this.id,
      queue: this.#queue,
      ...(this.#metadata && { metadata: this.#metadata }),
    };
  }
}

function findMetadata(job: FetchedJob): JobMetadata | undefined {
  if (!('priority' in job)) {
    return undefined;
  }
  const { id: _, name: __, data: ___, signal: ____, ...metadata } = job as JobWithMetadata<unknown>;
  return metadata;
}
