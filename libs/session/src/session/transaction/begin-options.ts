import type { TransactionOptions } from '@mikro-orm/core';

export type BeginOptions = Omit<TransactionOptions, 'ctx' | 'propagation' | 'ignoreNestedTransactions'>;

/** What the transactions of a connection are begun with where their own options do not say otherwise. */
export type TransactionDefaults = Pick<BeginOptions, 'isolationLevel' | 'readOnly'>;
