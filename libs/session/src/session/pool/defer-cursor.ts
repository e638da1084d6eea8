import type { Cursor } from './follow-cursor.js';
import type { PoolClient } from './pool.js';

/**
 * Makes a cursor wait for its turn on a connection that may not exist yet.
 *
 * @param inTurn calls its callback with the connection, at the turn of the cursor
 */
export function deferCursor(cursor: Cursor, inTurn: (submit: (client: PoolClient) => void) => Promise<void>): Cursor {
  const { read, close } = cursor;
  let isClosed = false;
  let isSubmitted = false;
  const submitted = inTurn((client) => {
    if (!isClosed) {
      isSubmitted = true;
      client.query(Object.assign(cursor, { read, close }));
    }
  });
  submitted.catch(() => undefined);
  cursor.read = async (...args) => {
    await submitted;
    return isSubmitted ? cursor.read?.(...args) : [];
  };
  cursor.close = async (...args) => {
    isClosed = true;
    await submitted.catch(() => undefined);
    return isSubmitted ? cursor.close(...args) : undefined;
  };
  return cursor;
}
