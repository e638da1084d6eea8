import { DriverException } from '@mikro-orm/core';

import { isDatabaseGone } from '../errors/is-database-gone.js';
import { SimulatedFailure } from './simulated-failure.js';

/**
 * Says for clients why a job failed. Only a failure that they have asked for speaks for itself: the text of any other error
 * may hold what is none of their business, as that of the database does, which shows the statement and the row.
 */
export function toFailureReason(reason: unknown): string {
  if (reason instanceof Error && reason.name === SimulatedFailure.name) {
    return reason.message;
  }
  if (isDatabaseGone(reason)) {
    return 'The database could not be reached while the job ran.';
  }
  if (reason instanceof DriverException) {
    return `The database refused the result of the job${stateOf(reason)}. The log of the server says why.`;
  }
  return 'The job failed. The log of the server says why.';
}

/** The SQLSTATE says of what kind the refusal is, and nothing of the row. */
function stateOf({ code }: DriverException): string {
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? ` (SQLSTATE ${code})` : '';
}
