import type { TransactionOptions } from '@mikro-orm/core';

export type BeginOptions = Omit<TransactionOptions, 'ctx' | 'propagation' | 'ignoreNestedTransactions'>;
