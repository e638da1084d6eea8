import type { TransactionOptions } from '@mikro-orm/core';

/** Options of a transaction: those of MikroORM, without the ones that decide whether there is a new transaction. */
export type BeginOptions = Omit<TransactionOptions, 'ctx' | 'propagation' | 'ignoreNestedTransactions'>;

/** Default options of the transactions of a connection. The own options of a transaction win. */
export type TransactionDefaults = Pick<BeginOptions, 'isolationLevel' | 'readOnly'>;
