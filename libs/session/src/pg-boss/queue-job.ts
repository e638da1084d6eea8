import type { Job } from 'pg-boss';

import type { JobContext } from '../jobs/job-worker.js';
import type { ScopeInfo } from '../session/scope/scope-info.js';
import { type QueueMessage, readMessage } from './message/queue-message.js';

/** What the handler of a queue is told of its job. */
export interface QueueJobContext extends JobContext {
  /** The id that `send()` gave, the same in every attempt: a key for calls to others that must not be made twice. */
  readonly id: string;
  readonly queue: string;
}

/** A job as it was fetched: `retryCount` tells this attempt from others. */
export type FetchedJob = Omit<Job<unknown>, 'heartbeatSeconds'>;

/** A job with what was sent in it. */
export class QueueJob {
  readonly id: string;
  readonly retryCount: number;
  readonly #queue: string;
  readonly #message: QueueMessage;

  /** @throws {TypeError} for data that JobQueue has not written */
  constructor(job: FetchedJob) {
    this.id = job.id;
    this.retryCount = job.retryCount;
    this.#queue = job.name;
    this.#message = readMessage(job);
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
    };
  }
}
