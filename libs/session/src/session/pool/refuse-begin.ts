import type { Connection } from '@mikro-orm/core';

import { SessionStateError } from '../session-error.js';
import type { SqlLexis } from './sql-statements.js';
import { leavesTransactionOpen } from './transaction-control.js';

type Execute = (
  query: unknown,
  params?: unknown,
  method?: unknown,
  ctx?: unknown,
  ...rest: unknown[]
) => Promise<never>;

/**
 * Refuses a statement that begins a transaction outside of a transaction. Its connection goes back to the pool right
 * after the statement, and the next user of the connection would be in that transaction.
 */
export function refuseBegin(connection: Connection, lexis?: SqlLexis): void {
  // Seam: mikro-orm/connection
  const execute = connection.execute.bind(connection) as Execute;
  const refusing: Execute = async (query, params, method, ctx, ...rest) => {
    const sql = typeof query === 'string' ? query : (query as { readonly sql?: unknown }).sql;
    if (ctx === undefined && typeof sql === 'string' && leavesTransactionOpen(sql, lexis)) {
      throw new SessionStateError(
        `The statement "${sql}" was refused: it would leave a transaction open on a connection of the pool. Begin it with ` +
          'session.begin() or session.transactional().',
      );
    }
    return execute(query, params, method, ctx, ...rest);
  };
  connection.execute = refusing;
}
