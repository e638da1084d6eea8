import { readProperty } from '../../read-property.js';

/** The numbers of errors with which the server ends a connection: a shutdown, a KILL, too long idle, a broken network. */
const FAREWELLS: ReadonlySet<unknown> = new Set([1053, 1077, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 4031]);

/** What mysql2 says of a connection that is gone. */
const GONE: ReadonlySet<unknown> = new Set(['PROTOCOL_CONNECTION_LOST', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT']);

/** Too many locks, and a row that another transaction has changed since it was read. */
const ROLLED_BACK: ReadonlySet<unknown> = new Set([1020, 1206]);
const LOCK_WAIT_TIMEOUT = 1205;

/** Whether nothing can be heard any more of a connection on which a statement failed so. */
export function endsMysqlConnection(error: unknown): boolean {
  // Seam: mysql2/errors
  return (
    readProperty(error, 'fatal') === true ||
    FAREWELLS.has(readProperty(error, 'errno')) ||
    GONE.has(readProperty(error, 'code'))
  );
}

/** Whether the server has rolled back the whole transaction for an error: always, or where it is set up so. */
export function rollsBackMysql(error: unknown): 'always' | 'as set' | 'never' {
  const number = readProperty(error, 'errno');
  const state = readProperty(error, 'sqlState');
  // Class 40 of SQL: the transaction is rolled back. A deadlock is of it.
  if (ROLLED_BACK.has(number) || (typeof state === 'string' && state.startsWith('40'))) {
    return 'always';
  }
  return number === LOCK_WAIT_TIMEOUT ? 'as set' : 'never';
}

/**
 * A deadlock, a lock that was not free, a row that was changed since it was read, a server that goes down, has no room for
 * a connection or has become a replica, and a connection that it has ended.
 */
const PASSING = new Set([
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
  'ER_CONNECTION_KILLED',
  'ER_CLIENT_INTERACTION_TIMEOUT',
  'ER_READ_ONLY_MODE',
  'PROTOCOL_CONNECTION_LOST',
]);

/** A server that has become a replica says so with an error that stands for other options too. */
const REPLICA = /--(?:super-)?read-only\b/;

/** What mysql2 says without a code. */
const CLOSED = "Can't add new command when connection is in closed state";

/** Whether the same work may succeed when it is done again. */
export function isPassingMysqlTrouble(error: object): boolean {
  const code = readProperty(error, 'code');
  const message = readProperty(error, 'message');
  return (
    PASSING.has(code as string) ||
    message === CLOSED ||
    (code === 'ER_OPTION_PREVENTS_STATEMENT' && typeof message === 'string' && REPLICA.test(message))
  );
}
