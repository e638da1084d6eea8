import { types } from 'node:util';

import { SessionError } from '../session/session-error.js';

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
