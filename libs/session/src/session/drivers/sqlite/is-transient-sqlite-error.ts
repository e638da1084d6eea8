import { readProperty } from '../../read-property.js';

/** Another process, or another connection of this process, holds the lock. */
const LOCKED = /^SQLITE_(?:BUSY|LOCKED)(?:_|$)/;
/** The numbers of these errors in node:sqlite, without the extended part. */
const NUMBERS: ReadonlySet<number> = new Set([5, 6]);

/** Whether the same work may succeed when it is repeated. */
export function isTransientSqliteError(error: object): boolean {
  const code = readProperty(error, 'code');
  const number = readProperty(error, 'errcode');
  return (
    (typeof code === 'string' && LOCKED.test(code)) ||
    (code === 'ERR_SQLITE_ERROR' && typeof number === 'number' && NUMBERS.has(number % 256))
  );
}
