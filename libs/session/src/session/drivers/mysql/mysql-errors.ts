import { readProperty } from '../../read-property.js';

/**
 * The numbers of errors with which the server ends a connection: a shutdown, a KILL, an idle time-out, a broken
 * network.
 */
const FAREWELLS: ReadonlySet<unknown> = new Set([1053, 1077, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 4031]);

/** The codes of mysql2 for a lost connection. */
const GONE: ReadonlySet<unknown> = new Set(['PROTOCOL_CONNECTION_LOST', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT']);

/** Errors that always roll back: too many locks, and a row that another transaction has changed since it was read. */
const ROLLED_BACK: ReadonlySet<unknown> = new Set([1020, 1206]);
const LOCK_WAIT_TIMEOUT = 1205;

/** Whether an error of a statement means that its connection is lost. */
export function endsMysqlConnection(error: unknown): boolean {
  // Seam: mysql2/errors
  return (
    readProperty(error, 'fatal') === true ||
    FAREWELLS.has(readProperty(error, 'errno')) ||
    GONE.has(readProperty(error, 'code'))
  );
}

/** Whether the server rolls back the whole transaction for an error: always, or only with a setting of the server. */
export function rollsBackMysql(error: unknown): 'always' | 'as set' | 'never' {
  const number = readProperty(error, 'errno');
  const state = readProperty(error, 'sqlState');
  // SQL states of class 40 mean that the transaction is rolled back, for example after a deadlock.
  if (ROLLED_BACK.has(number) || (typeof state === 'string' && state.startsWith('40'))) {
    return 'always';
  }
  return number === LOCK_WAIT_TIMEOUT ? 'as set' : 'never';
}

/**
 * A deadlock, a lock that was not free, a row that was changed since it was read, a server that shuts down, has no free
 * connection or has become a replica, and a connection that the server has ended.
 */
const PASSING: ReadonlySet<unknown> = new Set([
  'ER_LOCK_DEADLOCK',
  'ER_LOCK_WAIT_TIMEOUT',
  'ER_LOCK_NOWAIT',
  'ER_CHECKREAD',
  'ER_XA_RBDEADLOCK',
  'ER_CON_COUNT_ERROR',
  'ER_TOO_MANY_USER_CONNECTIONS',
  'ER_USER_LIMIT_REACHED',
  'ER_SERVER_SHUTDOWN',
  'ER_NORMAL_SHUTDOWN',
  'ER_CLIENT_INTERACTION_TIMEOUT',
  'ER_READ_ONLY_MODE',
  'PROTOCOL_CONNECTION_LOST',
]);

/** Of MariaDB, for a connection that was killed while a statement ran. mysql2 has no code for it. */
const KILLED = 1927;

/** The message of a server that has become a replica. Its error number is used for other options too. */
const REPLICA = /--(?:super-)?read-only\b/;

/** A message of mysql2 without a code. */
const CLOSED = "Can't add new command when connection is in closed state";

/** Whether the same work may succeed when it is repeated. */
export function isTransientMysqlError(error: object): boolean {
  const code = readProperty(error, 'code');
  const message = readProperty(error, 'message');
  return (
    PASSING.has(code) ||
    readProperty(error, 'errno') === KILLED ||
    message === CLOSED ||
    (code === 'ER_OPTION_PREVENTS_STATEMENT' && typeof message === 'string' && REPLICA.test(message))
  );
}
