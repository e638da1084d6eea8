import type { Connection } from '@mikro-orm/core';

import { isOpen } from './joined-transactions.js';

/**
 * Makes a connection roll back at once what it could not commit. PostgreSQL has ended the transaction then, and what
 * runs on its connection is committed by itself. A rollback() of the user, which comes later, has nothing left to do.
 */
export function guardTransactionEnd(connection: Connection): void {
  const commit = connection.commit.bind(connection);
  const rollback = connection.rollback.bind(connection);
  connection.commit = async (transaction, ...rest) => {
    try {
      await commit(transaction, ...rest);
    } catch (error) {
      if (isOpen(transaction) && !('savepointName' in (transaction as object))) {
        // It fails on a broken connection alone, which has nothing left to roll back. The first error tells more.
        await rollback(transaction, ...rest).catch(() => undefined);
      }
      throw error;
    }
  };
  connection.rollback = async (transaction, ...rest) => {
    const { isRolledBack } = transaction as { readonly isRolledBack: boolean };
    if (!isRolledBack) {
      await rollback(transaction, ...rest);
    }
  };
}
