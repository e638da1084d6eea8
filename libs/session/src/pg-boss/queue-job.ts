import type { Job, JobWithMetadata } from 'pg-boss';

import type { JobContext } from '../jobs/job-worker.js';
import type { ScopeInfo } from '../session/scope/scope-info.js';
import { type QueueMessage, readMessage } from './message/queue-message.js';

/** What the handler of a queue is told of its job. */
export interface QueueJobContext extends JobContext {
  /** The id that `send()` gave, the same in every attempt: a key for calls to others that must not be made twice. */
  readonly id: string;
  readonly queue: string;
  /** What pg-boss knows of the job, where the handler has the option `metadata`. */
  readonly metadata?: JobMetadata;
}

/**
 * What pg-boss knows of a job: its priority, keys, group, limits and times, and for a dead letter where it came from and
 * why (`sourceName`, `sourceOutput`).
 */
export type JobMetadata = Omit<JobWithMetadata<unknown>, 'id' | 'name' | 'data' | 'signal'>;

/** A job as it was fetched: `retryCount` tells this attempt from others. */
export type FetchedJob = Omit<Job<unknown>, 'heartbeatSeconds'>;

/** A job with what was sent in it. */
export class QueueJob {
  readonly id: string;
  readonly retryCount: number;
  readonly #queue: string;
  readonly #message: QueueMessage;
  readonly #metadata: JobMetadata | undefined;

  /** @throws {TypeError} for data that JobQueue has not written, where the input is a field of it */
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
