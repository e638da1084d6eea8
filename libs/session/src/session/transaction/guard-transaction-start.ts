import {
  type Connection,
  type EntityManager,
  EventType,
  type IsolationLevel,
  type Transaction,
  type TransactionEventBroadcaster,
} from '@mikro-orm/core';

import type { TransactionDefaults } from './begin-options.js';
import { rememberBegunWith } from './begun-with.js';
import type { TransactionBeginnings } from '../pool/transaction-beginnings.js';
import { assertKyselyTransaction } from '../assert-kysely-transaction.js';
import { STATE, type WithState } from '../known-session.js';

type Begin = Connection['begin'];

/** The defaults of transactions. */
interface BegunByDefault {
  /** The defaults of the option `transactions`. */
  readonly defaults: TransactionDefaults | undefined;
  /** The default of the database. */
  readonly isolationLevel: IsolationLevel;
}

/**
 * Registers each transaction with its session as soon as it begins. Rolls it back at once when the session has ended in
 * the meantime: nobody else would.
 */
export function guardTransactionStart(
  connection: Connection,
  beginnings: TransactionBeginnings,
  { defaults, isolationLevel }: BegunByDefault,
): void {
  holdSettingsBack(connection, beginnings);
  // Seam: mikro-orm/connection
  const beginUntold = connection.begin.bind(connection);
  connection.begin = async (given = {}) => {
    const { eventBroadcaster: events } = given;
    if (events === undefined) {
      return beginUntold(given);
    }
    const em = managerOf(events);
    const options = em[STATE] === undefined || given.ctx !== undefined ? given : addDefaults(given, defaults);
    const owner = em[STATE]?.scope ?? { label: em.name };
    const begin: Begin = (wanted) => beginnings.begin(owner, wanted?.ctx, () => beginUntold(wanted));
    const transaction = await (em.getEventManager().getSubscribers().size > 0
      ? beginAnnounced(connection, begin, events, { ...options, started: (one) => beginnings.started(one) })
      : begin(options));
    rememberBegunWith(transaction, options, isolationLevel);
    try {
      assertKyselyTransaction(transaction, options.ctx !== undefined);
      em[STATE]?.begun(em, transaction);
    } catch (error) {
      await discard(connection, transaction);
      throw error;
    }
    return transaction;
  };
}

function addDefaults<Options extends TransactionDefaults>(given: Options, defaults: TransactionDefaults = {}): Options {
  const { isolationLevel = defaults.isolationLevel, readOnly = defaults.readOnly } = given;
  return { ...given, ...(isolationLevel && { isolationLevel }), ...(readOnly !== undefined && { readOnly }) };
}

/** Sends the settings of a transaction together with its first statement. */
function holdSettingsBack(connection: Connection, beginnings: TransactionBeginnings): void {
  const setting = connection as Connection & { applySessionContext?: (...args: unknown[]) => Promise<void> };
  // Seam: mikro-orm/session-context
  const apply = setting.applySessionContext?.bind(setting);
  if (apply !== undefined) {
    setting.applySessionContext = (...args) => beginnings.setting(() => apply(...args));
  }
}

/**
 * Rolls back a transaction when a subscriber to `afterTransactionStart` throws. MikroORM forgets the transaction then,
 * and its connection would never go back to the pool.
 */
async function beginAnnounced(
  connection: Connection,
  begin: Begin,
  events: TransactionEventBroadcaster,
  { started: tell, ...options }: Parameters<Begin>[0] & { readonly started: (transaction: Transaction) => void },
): Promise<Transaction> {
  let started: unknown;
  const dispatchEvent: TransactionEventBroadcaster['dispatchEvent'] = (event, transaction) => {
    if (event === EventType.afterTransactionStart) {
      started = transaction;
      tell(transaction);
    }
    return events.dispatchEvent(event, transaction);
  };
  const eventBroadcaster = Object.assign(Object.create(events) as TransactionEventBroadcaster, { dispatchEvent });
  try {
    return await begin({ ...options, eventBroadcaster });
  } catch (error) {
    if (started !== undefined) {
      await discard(connection, started);
    }
    throw error;
  }
}

/** Ignores the error of the rollback: it fails only on a broken connection, where nothing is left to roll back. */
async function discard(connection: Connection, transaction: Transaction): Promise<void> {
  await connection.rollback(transaction).catch(() => undefined);
}

function managerOf(events: TransactionEventBroadcaster): EntityManager & WithState {
  // Seam: mikro-orm/broadcaster
  return (events as unknown as { readonly em: EntityManager & WithState }).em;
}
