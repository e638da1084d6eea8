import { CommitUnknownError, ConnectionLostError } from '../session/session-error.js';
import { JobThreadError } from './job-error.js';

/** Serialisation failure, deadlock, a connection that broke, and a server that is going down, has crashed or is starting. */
const SQL_STATES = /^(40001|40P01|08...|57P0[123])$/;

const SYSTEM_CODES = new Set(['ECONNRESET', 'ECONNREFUSED', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH']);

/** What node-postgres says without a code. */
const MESSAGES = /^(Connection terminated|Client has encountered a connection error)/;

interface Failure {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly cause?: unknown;
  /** Of an AggregateError: what each address of the host said. */
  readonly errors?: unknown;
}

/**
 * Tells whether PostgreSQL says that the same work may succeed when it is done again: a conflict with another
 * transaction, a deadlock, a connection that was lost, a server that restarts. The same holds for a thread that was
 * ended because another job blocked it.
 *
 * @example
 * retry: { when: (error) => isTransientError(error) || error instanceof RateLimitError }
 */
export function isTransientError(error: unknown): boolean {
  if (error instanceof CommitUnknownError) {
    return false;
  }
  return isConnectionLoss(error) || hasTransientState(error) || isThreadLoss(error);
}

function isConnectionLoss(error: unknown): boolean {
  const { code, message, errors }: Failure = toFailure(error);
  return (
    (typeof code === 'string' && SYSTEM_CODES.has(code)) ||
    (typeof message === 'string' && MESSAGES.test(message)) ||
    (error instanceof ConnectionLostError && isConnectionLoss(error.cause)) ||
    (Array.isArray(errors) && errors.some((part) => isConnectionLoss(part)))
  );
}

function isThreadLoss(error: unknown): boolean {
  return error instanceof JobThreadError && error.blockedBy !== undefined;
}

/** Looks into the causes too: an SQL state, unlike the code of a broken connection, comes from the database alone. */
function hasTransientState(error: unknown): boolean {
  const { code, cause }: Failure = toFailure(error);
  return (typeof code === 'string' && SQL_STATES.test(code)) || (cause !== undefined && hasTransientState(cause));
}

function toFailure(error: unknown): Failure {
  return typeof error === 'object' && error !== null ? error : {};
}
