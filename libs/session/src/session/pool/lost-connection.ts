import { ConnectionLostError } from '../session-error.js';

/** The members of an error of the server. Errors of the network have no severity. */
interface Failure {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly severity?: unknown;
}

/** The SQL states with which the server ends a connection. */
const FAREWELL = /^(?:08...|57P0[1-5]|25P0[34])$/;

/** The message of node-postgres after its `query_timeout`. pg-boss adds the name of a queue. */
// Seam: pg/query-timeout
const GIVEN_UP = /^Query read timeout(?: \(Queue: |$)/;

const REMEDIES: Readonly<Record<string, string>> = {
  '25P03': 'Wait only for the database within a transaction, or raise `idle_in_transaction_session_timeout`.',
  '25P04': 'Do less in one transaction, or raise `transaction_timeout`.',
  '57P05': 'Give connections back sooner, or raise `idle_session_timeout`.',
};

const TRY_AGAIN = 'Repeat the work in a new session: a job does so with `retry`.';

/** The SQL state of an error that comes from the server. */
export function findSqlState(error: unknown): string | undefined {
  const { code, severity } = (error ?? {}) as Failure;
  return typeof code === 'string' && typeof severity === 'string' ? code : undefined;
}

/** Whether a statement was given up because its answer took too long. */
export function isGivenUp(error: unknown): boolean {
  const { message } = (error ?? {}) as Failure;
  return typeof message === 'string' && GIVEN_UP.test(message);
}

/** Whether an error of a statement means that its connection is lost. */
export function endsConnection(error: unknown): boolean {
  const state = findSqlState(error);
  return state === undefined || FAREWELL.test(state);
}

/** Makes the error of a statement that comes after the loss of its connection. */
export function explainLoss(label: string, cause: Error): ConnectionLostError {
  const state = findSqlState(cause);
  const reason = state === undefined ? cause.message : `PostgreSQL said "${cause.message}" (${state})`;
  return new ConnectionLostError(label, reason, (state && REMEDIES[state]) ?? TRY_AGAIN, cause);
}
