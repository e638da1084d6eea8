import type { Connection, Transaction, TransactionEventBroadcaster } from '@mikro-orm/core';

import { isOpen, isSavepoint, markLost, markUnknown } from './joined-transactions.js';
import { GRACE_MS } from '../pool/pool-defaults.js';
import { begunOf } from '../pool/begun-transaction.js';
import { ConnectionLostError } from '../session-error.js';

/**
 * Makes a connection roll back at once what it could not commit. PostgreSQL has ended the transaction then, and what
 * runs on its connection is committed by itself. A rollback() of the user, which comes later, has nothing left to do.
 */
export function guardTransactionEnd(connection: Connection): void {
  // Seam: mikro-orm/connection
  const commit = connection.commit.bind(connection);
  const rollback = connection.rollback.bind(connection);
  connection.commit = async (transaction, ...rest) => {
    try {
      await asOwner(transaction, () => commit(transaction, ...rest));
    } catch (error) {
      if (error === begunOf(transaction)?.lease?.unknownCommit) {
        // Nobody is told of a rollback that may not have been one.
        markUnknown(transaction);
      } else if (isOpen(transaction) && !isSavepoint(transaction)) {
        // It fails on a broken connection alone, which has nothing left to roll back. The first error tells more.
        await connection.rollback(transaction, ...rest).catch(() => undefined);
      }
      throw error;
    }
  };
  connection.rollback = async (transaction, events, ...rest) => {
    const { isCommitted } = transaction as { readonly isCommitted: boolean };
    if (!isOpen(transaction) && !isCommitted) {
      return;
    }
    const begun = begunOf(transaction);
    if (!isSavepoint(transaction)) {
      begun?.giveUpWait();
    }
    let isAnnounced = events === undefined;
    const bound = (): (() => void) | undefined => begun?.destroyAfter(GRACE_MS, 'ROLLBACK');
    let unbind = isAnnounced ? bound() : undefined;
    const announce: TransactionEventBroadcaster['dispatchEvent'] = async (event, about) => {
      await events?.dispatchEvent(event, about);
      if (!isAnnounced) {
        isAnnounced = true;
        // To end the connection is to roll back, so that nothing is lost when it does not answer.
        unbind = bound();
      }
    };
    const announcer =
      events && Object.assign(Object.create(events) as TransactionEventBroadcaster, { dispatchEvent: announce });
    const isLossTold = begun?.lease?.isLossTold === true;
    try {
      const run = (): Promise<void> => asOwner(transaction, () => rollback(transaction, announcer, ...rest));
      // A statement that is cancelled keeps a rollback waiting, on a network that does not answer to that either.
      await (begun?.whileAlive(run) ?? run());
    } catch (error) {
      // Not a subscriber but the statement failed, as it does on a broken connection alone.
      if (isAnnounced && isOpen(transaction)) {
        markLost(transaction);
        if (isLossTold && error instanceof ConnectionLostError) {
          // The server has rolled back, and whoever lost the connection was told.
          return;
        }
      }
      throw error;
    } finally {
      unbind?.();
    }
  };
}

function asOwner<Result>(transaction: Transaction, work: () => Promise<Result>): Promise<Result> {
  return begunOf(transaction)?.asOwner(work) ?? work();
}
