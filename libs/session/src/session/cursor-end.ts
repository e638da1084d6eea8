import type { PoolClient } from './watch-pools.js';

/** The little of a cursor of pg-cursor that is needed here. */
interface Cursor {
  close: (...args: unknown[]) => Promise<void>;
}

export function isCursor(query: unknown): query is Cursor {
  return typeof (query as Partial<Cursor> | null)?.close === 'function';
}

/** Ends the wait for a cursor to close with its connection: pg-cursor waits for an answer that a broken one never gives. */
export function closeWithConnection(cursor: Cursor, client: PoolClient, isOver: () => boolean): void {
  // Seam: pg-cursor/close
  const close = cursor.close.bind(cursor);
  cursor.close = async (...args) => {
    if (args.length > 0) {
      return close(...args);
    }
    if (isOver()) {
      return undefined;
    }
    const over = Promise.withResolvers<void>();
    client.once('end', over.resolve);
    try {
      return await Promise.race([close(), over.promise]);
    } finally {
      client.off('end', over.resolve);
    }
  };
}
