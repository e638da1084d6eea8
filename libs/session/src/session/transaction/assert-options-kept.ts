import { type EntityManager, type TransactionOptions, TransactionPropagation } from '@mikro-orm/core';

import { assertJoinable, assertSavepointHas } from './assert-joinable.js';

const BEGINNING_NONE: ReadonlySet<unknown> = new Set([
  TransactionPropagation.SUPPORTS,
  TransactionPropagation.NOT_SUPPORTED,
  TransactionPropagation.NEVER,
]);

/**
 * Refuses options of a transaction which MikroORM would drop without a word, as `@InSession()` does.
 *
 * @throws {TypeError} where no transaction is begun that they could be options of
 * @throws {SessionStateError} where the open transaction does not have them
 */
export function assertOptionsKept(
  em: EntityManager,
  around: string,
  { propagation = TransactionPropagation.NESTED, ctx, ...wanted }: TransactionOptions,
): void {
  if (BEGINNING_NONE.has(propagation)) {
    assertNoneDropped(propagation, wanted);
    return;
  }
  const open: unknown = em.getTransactionContext();
  const joining = { who: 'transactional() or @Transactional()', around };
  if (propagation === TransactionPropagation.REQUIRES_NEW) {
    return;
  }
  if (open !== undefined && propagation !== TransactionPropagation.NESTED) {
    assertJoinable(joining, wanted, open);
  } else if ((open ?? ctx) !== undefined) {
    assertSavepointHas(joining, wanted, open ?? ctx);
  }
}

function assertNoneDropped(
  propagation: string,
  { isolationLevel, readOnly, sessionContext }: TransactionOptions,
): void {
  const [dropped] =
    Object.entries({ isolationLevel, readOnly, sessionContext }).find(([, value]) => value !== undefined) ?? [];
  if (dropped !== undefined) {
    throw new TypeError(
      `transactional() or @Transactional() with the propagation '${propagation}' begins no transaction, which ` +
        `\`${dropped}\` could be an option of.`,
    );
  }
}
