import { isTransientError } from 'nestjs-mikro-session';

const error = (parts: object): Error => Object.assign(new Error('of a driver'), parts);

describe('isTransientError()', () => {
  it.each([
    [{ code: 'ER_LOCK_DEADLOCK', errno: 1213 }],
    [{ code: 'ER_LOCK_WAIT_TIMEOUT', errno: 1205 }],
    [{ code: 'ER_LOCK_NOWAIT', errno: 3572 }],
    [{ code: 'ER_CHECKREAD', errno: 1020 }],
    [{ code: 'ER_CON_COUNT_ERROR', errno: 1040 }],
    [{ code: 'ER_SERVER_SHUTDOWN', errno: 1053 }],
    [{ code: undefined, errno: 1927, sqlState: '70100' }],
    [{ code: 'ER_CLIENT_INTERACTION_TIMEOUT', errno: 4031 }],
    [{ code: 'ER_OPTION_PREVENTS_STATEMENT', message: 'running with the --read-only option' }],
    [{ code: 'PROTOCOL_CONNECTION_LOST', fatal: true }],
    [{ message: `Can't add new command when connection is in closed state`, fatal: true }],
    [{ code: 'SQLITE_BUSY' }],
    [{ code: 'SQLITE_BUSY_SNAPSHOT' }],
    [{ code: 'SQLITE_LOCKED_SHAREDCACHE' }],
    [{ code: 'ERR_SQLITE_ERROR', errcode: 5 }],
    [{ code: 'ERR_SQLITE_ERROR', errcode: 517 }],
  ])('is true of %j', (parts) => {
    expect(isTransientError(error(parts))).toBe(true);
    expect(isTransientError(new Error('around', { cause: error(parts) }))).toBe(true);
  });

  it.each([
    [{ code: 'ER_DUP_ENTRY', errno: 1062 }],
    [{ code: 'ER_QUERY_INTERRUPTED', errno: 1317 }],
    [{ code: 'ER_OPTION_PREVENTS_STATEMENT', message: 'running with the --secure-file-priv option' }],
    [{ code: 'SQLITE_CONSTRAINT_UNIQUE' }],
    [{ code: 'SQLITE_FULL' }],
    [{ code: 'ERR_SQLITE_ERROR', errcode: 19 }],
  ])('is false of %j', (parts) => {
    expect(isTransientError(error(parts))).toBe(false);
  });
});
