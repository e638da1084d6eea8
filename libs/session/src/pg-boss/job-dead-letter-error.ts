import { types } from 'node:util';

import { SessionError } from '../session/session-error.js';

/**
 * Throw this in a handler when the job can never succeed. The transaction is rolled back. The job fails for good,
 * whatever its `retryLimit`, and goes to the dead letter queue, if the queue has one.
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

/** Whether a job must not be tried again. Checks for a native error first: `instanceof` throws for a revoked Proxy. */
export function isDeadLetter(reason: unknown): boolean {
  return types.isNativeError(reason) && reason instanceof JobDeadLetterError;
}
