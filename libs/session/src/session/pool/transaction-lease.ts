import type { Transaction } from '@mikro-orm/core';

import type { Lease } from './lease.js';

const LEASE = Symbol('lease');

/** Finds the connection of a transaction that MikroORM began for an EntityManager, or of a savepoint in it. */
export function leaseOf(transaction: Transaction): Lease | undefined {
  return (transaction as { [LEASE]?: Lease } | undefined)?.[LEASE];
}

export function setLease(transaction: Transaction, lease: Lease | undefined): void {
  Object.assign(transaction as object, { [LEASE]: lease });
}
