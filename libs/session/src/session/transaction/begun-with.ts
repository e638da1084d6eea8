import type { IsolationLevel, Transaction, TransactionOptions } from '@mikro-orm/core';

const BEGUN_WITH = Symbol('begun with');

/** What a transaction was begun with, and keeps to its end. */
export interface BegunWith {
  readonly isolationLevel?: IsolationLevel | `${IsolationLevel}` | undefined;
  readonly readOnly?: boolean | undefined;
}

type Remembering = { readonly [BEGUN_WITH]?: BegunWith };

/** Remembers what a transaction was begun with. A savepoint has what the transaction around it has. */
export function rememberBegunWith(transaction: Transaction, options: TransactionOptions): void {
  const { ctx, isolationLevel, readOnly } = options;
  const value = ctx === undefined ? { isolationLevel, readOnly } : findBegunWith(ctx);
  Object.defineProperty(transaction, BEGUN_WITH, { value, configurable: true });
}

/** Returns what a transaction was begun with, where a session began it. */
export function findBegunWith(transaction: unknown): BegunWith {
  return (transaction as Remembering)[BEGUN_WITH] ?? {};
}
