import { type Connection, type EntityManager, EventType, type TransactionEventBroadcaster } from '@mikro-orm/core';

/**
 * Makes a connection roll back what it began when a subscriber to `afterTransactionStart` throws: MikroORM forgets the
 * transaction then, whose place in the pool would be lost.
 */
export function guardTransactionStart(connection: Connection): void {
  const begin = connection.begin.bind(connection);
  connection.begin = async (options = {}) => {
    const { eventBroadcaster: events } = options;
    if (events === undefined || !hasSubscribers(events)) {
      return begin(options);
    }
    let started: unknown;
    const dispatchEvent: TransactionEventBroadcaster['dispatchEvent'] = (event, transaction) => {
      if (event === EventType.afterTransactionStart) {
        started = transaction;
      }
      return events.dispatchEvent(event, transaction);
    };
    const eventBroadcaster = Object.assign(Object.create(events) as TransactionEventBroadcaster, { dispatchEvent });
    try {
      return await begin({ ...options, eventBroadcaster });
    } catch (error) {
      if (started !== undefined) {
        // It fails on a broken connection alone, which has nothing left to roll back. The first error tells more.
        await connection.rollback(started).catch(() => undefined);
      }
      throw error;
    }
  };
}

function hasSubscribers(events: TransactionEventBroadcaster): boolean {
  const { em } = events as unknown as { readonly em: EntityManager };
  return em.getEventManager().getSubscribers().size > 0;
}
