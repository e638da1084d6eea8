import { type EntityManager, type TransactionOptions, TransactionPropagation } from '@mikro-orm/core';

import { assertJoinable, assertSavepointHas } from './assert-joinable.js';

const BEGINNING_NONE: ReadonlySet<unknown> = new Set([
  TransactionPropagation.SUPPORTS,
  TransactionPropagation.NOT_SUPPORTED,
  TransactionPropagation.NEVER,
]);

/**
 * Refuses options of a transaction that MikroORM would silently drop. `@InSession()` refuses them too.
 *
 * @throws {TypeError} where the call begins no transaction
 * @throws {SessionStateError} where the open transaction has other values
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
  const joining = { who: 'transactional() or @Transactional()', around: open === undefined ? undefined : around };
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
      `transactional() or @Transactional() with the propagation '${propagation}' begins no transaction, so that ` +
        `\`${dropped}\` would have no effect. Leave it out, or take another propagation.`,
    );
  }
}
