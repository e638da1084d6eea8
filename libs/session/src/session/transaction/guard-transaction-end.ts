import { type Connection, EventType, type Transaction, type TransactionEventBroadcaster } from '@mikro-orm/core';

import { isOpen, isSavepoint, markLost, markUnknown } from './joined-transactions.js';
import { GRACE_MS } from '../pool/pool-defaults.js';
import { begunOf } from '../pool/begun-transaction.js';
import { ConnectionLostError } from '../session-error.js';

/**
 * Makes a connection roll back at once after a failed commit. PostgreSQL has ended the transaction by then, and would
 * commit each later statement on the connection by itself. A later rollback() of the user does nothing.
 */
export function guardTransactionEnd(connection: Connection): void {
  // Seam: mikro-orm/connection
  const commit = connection.commit.bind(connection);
  const rollback = connection.rollback.bind(connection);
  connection.commit = async (transaction, ...rest) => {
    try {
      await asOwner(transaction, () => commit(transaction, ...rest));
    } catch (error) {
      if (error === begunOf(transaction)?.lease?.loss.unknownCommit) {
        // No subscriber is told of a rollback: the transaction may have been committed.
        markUnknown(transaction);
      } else if (isOpen(transaction) && !isSavepoint(transaction)) {
        // The rollback fails only on a broken connection, where nothing is left to roll back. The first error says
        // more.
        await connection.rollback(transaction, ...rest).catch(() => undefined);
      }
      throw error;
    }
  };
  const rollBack: Connection['rollback'] = async (transaction, events, ...rest) => {
    const { isCommitted } = transaction as { readonly isCommitted: boolean };
    if (!isOpen(transaction) && !isCommitted) {
      return;
    }
    const begun = begunOf(transaction);
    if (!isSavepoint(transaction)) {
      begun?.giveUpWait();
    }
    let isAnnounced = events === undefined;
    const isRolledBack = Promise.withResolvers<void>();
    const bound = (): (() => void) | undefined => begun?.destroyAfter(GRACE_MS, 'ROLLBACK');
    let unbind = isAnnounced ? bound() : undefined;
    const announce: TransactionEventBroadcaster['dispatchEvent'] = async (event, about) => {
      if (event === EventType.afterTransactionRollback) {
        // From here on, the connection may have another user, whatever a subscriber does.
        unbind?.();
        isRolledBack.resolve();
      }
      await events?.dispatchEvent(event, about);
      if (!isAnnounced) {
        isAnnounced = true;
        // From here on, a connection that does not answer is ended, which rolls back too.
        unbind = bound();
      }
    };
    const announcer =
      events && Object.assign(Object.create(events) as TransactionEventBroadcaster, { dispatchEvent: announce });
    const isLossTold = begun?.lease?.loss.isTold === true;
    try {
      const running = asOwner(transaction, () => rollback(transaction, announcer, ...rest));
      running.catch(() => undefined);
      // A rollback waits for the statement before it. When that was cancelled on a dead network, no answer comes.
      await begun?.whileAlive(() => Promise.race([running, isRolledBack.promise]));
      await running;
    } catch (error) {
      // The statement failed, not a subscriber. It fails only on a broken connection.
      if (isAnnounced && isOpen(transaction)) {
        markLost(transaction);
        if (isLossTold && error instanceof ConnectionLostError) {
          // The server has rolled back, and the statement that lost the connection has thrown already.
          return;
        }
      }
      throw error;
    } finally {
      unbind?.();
    }
  };
  const rollingBack = new WeakMap<Transaction, Promise<void>>();
  connection.rollback = (transaction, ...args) => {
    // Where the scope of a block ends while the block rolls back, both ask for it.
    let running = rollingBack.get(transaction);
    if (running === undefined) {
      running = rollBack(transaction, ...args).finally(() => rollingBack.delete(transaction));
      rollingBack.set(transaction, running);
    }
    return running;
  };
}

function asOwner<Result>(transaction: Transaction, work: () => Promise<Result>): Promise<Result> {
  return begunOf(transaction)?.asOwner(work) ?? work();
}
