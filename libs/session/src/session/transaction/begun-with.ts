import type { IsolationLevel, Transaction, TransactionOptions } from '@mikro-orm/core';

const BEGUN_WITH = Symbol('begun with');

/** The options with which a transaction was begun. */
export interface BegunWith {
  readonly isolationLevel?: IsolationLevel | `${IsolationLevel}`;
  readonly readOnly?: boolean;
}

type Remembering = { readonly [BEGUN_WITH]?: BegunWith };

/**
 * Remembers the options with which a transaction was begun, or the defaults of the database. A savepoint has those of
 * the transaction around it.
 */
export function rememberBegunWith(
  transaction: Transaction,
  { ctx, isolationLevel, readOnly = false }: TransactionOptions,
  levelOfDatabase: IsolationLevel,
): void {
  const value: BegunWith =
    ctx === undefined ? { isolationLevel: isolationLevel ?? levelOfDatabase, readOnly } : findBegunWith(ctx);
  Object.defineProperty(transaction, BEGUN_WITH, { value, configurable: true });
}

/** Returns the options with which a transaction was begun. Empty for a transaction that MikroORM did not begin. */
export function findBegunWith(transaction: unknown): BegunWith {
  return (transaction as Remembering)[BEGUN_WITH] ?? {};
}
