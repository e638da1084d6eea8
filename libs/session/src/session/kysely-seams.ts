import type { Transaction } from '@mikro-orm/core';

import { assertSeam, type Seam } from './assert-seam.js';

const TRANSACTION: Seam = {
  seam: 'kysely/transaction',
  of: 'kysely',
  loss: 'The end of a transaction cannot be known',
};

/** @throws {SessionSetupError} when a transaction that has just begun does not tell what sessions ask it */
export function assertTransaction(transaction: Transaction, isSavepoint: boolean): void {
  const members = isSavepoint ? ['isCommitted', 'isRolledBack', 'savepointName'] : ['isCommitted', 'isRolledBack'];
  assertSeam(transaction, members, TRANSACTION);
}
