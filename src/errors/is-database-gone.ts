const CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
]);

/** Connection exceptions, too many connections, and a server that is going down, has crashed or is starting. */
const SQL_STATES = /^(08...|53300|57P0[123])$/;

/** Messages of pg without a code. */
const MESSAGES =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error)/;

interface Failure {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly cause?: unknown;
  /** The errors of an AggregateError: one for each address of the host. */
  readonly errors?: unknown;
}

/** Whether an error, or one of its causes, says that the database cannot be reached. */
export function isDatabaseGone(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) {
    return false;
  }
  const { code, message, cause, errors }: Failure = error;
  if (typeof code === 'string' && (CODES.has(code) || SQL_STATES.test(code))) {
    return true;
  }
  if (typeof message === 'string' && MESSAGES.test(message)) {
    return true;
  }
  return isDatabaseGone(cause) || (Array.isArray(errors) && errors.some((part) => isDatabaseGone(part)));
}
