import type { Cursor } from './follow-cursor.js';
import type { Portal } from './portal.js';

interface PortalConnection {
  readonly use: {
    /** Waits for an answer to the portal, and measures the wait. */
    ask<Answer>(question: () => Promise<Answer>, statement?: string): Promise<Answer>;
  };
  explain(error: unknown): unknown;
}

/** Makes a cursor read from a portal, which leaves the connection free between two reads. */
export function readFromPortal(cursor: Cursor, portal: Portal, connection: PortalConnection): void {
  // Seam: pg-cursor/close
  cursor.read = async (rows) => {
    try {
      return await connection.use.ask(() => portal.read(rows), cursor.text);
    } catch (error) {
      throw connection.explain(error);
    }
  };
  cursor.close = () => connection.use.ask(() => portal.close());
}
