import type { PoolClient } from './pool.js';

/** The members of a cursor of pg-cursor that are used here. */
export interface Cursor {
  readonly text?: string;
  readonly values?: readonly unknown[] | null;
  read?: (rows: number, ...callback: unknown[]) => Promise<unknown>;
  close: (...args: unknown[]) => Promise<void>;
}

interface CursorConnection {
  readonly client: PoolClient;
  readonly isOver: boolean;
  readonly use: {
    /** Waits for an answer to the cursor, and measures the wait. */
    ask<Answer>(question: () => Promise<Answer>, statement?: string): Promise<Answer>;
  };
  /** Waits for `work`, at most until the connection ends. */
  whileAlive<Result>(work: () => Promise<Result>): Promise<Result>;
  explain(error: unknown): unknown;
}

export function isCursor(query: unknown): query is Cursor {
  return typeof (query as Partial<Cursor> | null)?.close === 'function';
}

/**
 * Follows the waits of a cursor. Also ends its close() when the connection ends: pg-cursor would wait for an answer
 * that a broken connection never gives.
 */
export function followCursor(cursor: Cursor, connection: CursorConnection): void {
  const { client } = connection;
  // Seam: pg-cursor/close
  const close = cursor.close.bind(cursor);
  cursor.close = async (...args) => {
    if (args.length > 0) {
      return close(...args);
    }
    if (connection.isOver) {
      return undefined;
    }
    const over = Promise.withResolvers<void>();
    client.once('end', over.resolve);
    try {
      return await Promise.race([connection.use.ask(close), over.promise]);
    } finally {
      client.off('end', over.resolve);
    }
  };
  const read = cursor.read?.bind(cursor);
  if (read === undefined) {
    return;
  }
  cursor.read = async (rows, ...callback) => {
    if (callback.length > 0) {
      return read(rows, ...callback);
    }
    try {
      // pg-cursor does not report the end of the connection to a cursor that has read all its rows.
      return await connection.whileAlive(() => connection.use.ask(() => read(rows), cursor.text));
    } catch (error) {
      throw connection.explain(error);
    }
  };
}
