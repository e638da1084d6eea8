import { types } from 'node:util';

import { SessionError } from '../session/session-error.js';

/**
 * The reason of a job whose claim was gone when its work was done: it had expired, or somebody cancelled it. What the
 * handler wrote was rolled back, because the job has been run by another worker, or will be.
 */
export class JobClaimLostError extends SessionError {
  declare readonly code: 'JOB_CLAIM_LOST';

  constructor(queue: string, ids: readonly string[]) {
    super(
      'JOB_CLAIM_LOST',
      `The work on ${ids.length === 1 ? `job ${ids[0]}` : `${ids.length} jobs, ${ids[0]} among them,`} of queue "${queue}" was rolled back, because its ` +
        'claim was gone when it was done: it had taken longer than `expireInSeconds`, its heartbeat had stopped, or it ' +
        'was cancelled. Give the queue more time, or the job less to do.',
    );
  }
}

/**
 * Thrown by a handler whose job will never succeed: its transaction is rolled back, and the job fails for good, whatever
 * its `retryLimit`, and goes to the dead letter queue, where there is one.
 *
 * @example
 * throw new JobDeadLetterError(`There is no order ${id}`);
 */
export class JobDeadLetterError extends SessionError {
  declare readonly code: 'JOB_DEAD_LETTER';

  constructor(message: string, options?: ErrorOptions) {
    super('JOB_DEAD_LETTER', message, options);
  }
}

/** Whether a job is not to be tried again. A revoked Proxy, which may have been thrown, is not to be asked for its class. */
export function isDeadLetter(reason: unknown): boolean {
  return types.isNativeError(reason) && reason instanceof JobDeadLetterError;
}
