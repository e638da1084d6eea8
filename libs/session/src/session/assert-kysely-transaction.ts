import type { Transaction } from '@mikro-orm/core';

import { assertSeam, type Seam } from './assert-seam.js';

const TRANSACTION: Seam = {
  seam: 'kysely/transaction',
  of: 'kysely',
  loss: 'The end of a transaction cannot be known',
};

const STREAM: Seam = {
  seam: 'kysely/stream',
  of: 'kysely',
  loss: 'A stream in a transaction cannot let other statements run',
};

/** @throws {SessionSetupError} when a new transaction lacks the members that sessions read */
export function assertKyselyTransaction(transaction: Transaction, isSavepoint: boolean): void {
  const members = isSavepoint ? ['isCommitted', 'isRolledBack', 'savepointName'] : ['isCommitted', 'isRolledBack'];
  assertSeam(transaction, members, TRANSACTION);
}

/** @throws {SessionSetupError} when the executor of a transaction has no method to use its connection */
export function assertKyselyExecutor(executor: unknown): void {
  assertSeam(executor, ['provideConnection'], STREAM);
}
