import type { IsolationLevel, Transaction, TransactionOptions } from '@mikro-orm/core';

const BEGUN_WITH = Symbol('begun with');

/** What a transaction was begun with, and keeps to its end. */
export interface BegunWith {
  readonly isolationLevel?: IsolationLevel | `${IsolationLevel}`;
  readonly readOnly?: boolean;
}

type Remembering = { readonly [BEGUN_WITH]?: BegunWith };

/**
 * Remembers what a transaction was begun with, or what the database gives where nothing was said. A savepoint has what the
 * transaction around it has.
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

/** Returns what a transaction was begun with: nothing is known of one that MikroORM did not begin. */
export function findBegunWith(transaction: unknown): BegunWith {
  return (transaction as Remembering)[BEGUN_WITH] ?? {};
}
