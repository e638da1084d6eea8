import { FlushMode, IsolationLevel } from '@mikro-orm/core';

import { anAbortSignal, anObject, anything, assertOptions, ofType, oneOf, type Rule } from '../assert-options.js';
import type { BeginOptions, TransactionDefaults } from './begin-options.js';

const defaultRules: Record<keyof TransactionDefaults, Rule> = {
  // PostgreSQL has no `snapshot`, and would refuse the BEGIN.
  isolationLevel: oneOf(...Object.values(IsolationLevel).filter((level) => level !== IsolationLevel.SNAPSHOT)),
  readOnly: ofType('boolean'),
};

const rules: Record<keyof BeginOptions, Rule> = {
  ...defaultRules,
  clear: ofType('boolean'),
  flushMode: oneOf(...Object.values(FlushMode)),
  loggerContext: anObject,
  sessionContext: anObject,
  signal: anAbortSignal,
  inflightQueryAbortStrategy: anything,
};

/** @throws {TypeError} for the first option of a transaction that is unknown or has a wrong value */
export function assertBeginOptions(whose: string, options: unknown, prefix = 'transaction.'): void {
  assertOptions(whose, options, rules, prefix);
}

/** @throws {TypeError} for the first default of the transactions that is unknown or has a wrong value */
export function assertTransactionDefaults(whose: string, options: unknown): void {
  assertOptions(whose, options, defaultRules, 'transactions.');
}
