import { DriverException } from '@mikro-orm/core';

import { isDatabaseGone } from '../errors/is-database-gone.js';
import { SimulatedFailure } from './simulated-failure.js';

/**
 * Returns the reason of a failed job in words for clients. Only a simulated failure keeps its own text. The text of
 * other errors may contain data that clients must not see: an error of the database shows the statement and the row.
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

/** Returns the SQLSTATE: it shows the kind of the error, and nothing of the row. */
function stateOf({ code }: DriverException): string {
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? ` (SQLSTATE ${code})` : '';
}
