import { type EntityManager, TransactionPropagation } from '@mikro-orm/core';

import type { LiveScope } from '../session/scope/live-scope.js';
import { NoActiveSessionError, SessionStateError } from '../session/session-error.js';
import type { BeginOptions } from '../session/transaction/begin-options.js';
import type { SessionSource } from '../session/session-source.js';
import { assertJoinable } from './joined-transaction.js';

/** What a method with `@InSession()` makes of the scope that it is called in. */
export type Propagation = 'join' | 'new' | 'mandatory' | 'never';

export interface SessionMethodOptions {
  readonly label: string;
  readonly propagation?: Propagation;
  readonly transaction?: true | BeginOptions;
}

/** Runs one call of a method in the scope that its options ask for. */
export function runSessionMethod<Result>(
  source: SessionSource,
  { label, propagation = 'join', transaction: wanted }: SessionMethodOptions,
  work: () => Promise<Result>,
): Promise<Result> {
  const scope = source.currentScope;
  const transaction = wanted === true ? {} : wanted;
  switch (propagation) {
    case 'join':
      return scope?.state === 'open' ? join() : open();
    case 'new':
      return open();
    case 'mandatory':
      assertSome(label, scope);
      return join();
    case 'never':
      assertNone(label, scope);
      return work();
  }

  function open(): Promise<Result> {
    const options = { kind: 'method', label, startedIn: scope } as const;
    return transaction === undefined ? source.inScope(options, work) : source.run(options, work, { transaction });
  }

  function join(): Promise<Result> {
    if (transaction === undefined) {
      return work();
    }
    const session: EntityManager = source.current;
    const open: unknown = session.getTransactionContext();
    if (open !== undefined) {
      assertJoinable(label, scope?.label ?? label, transaction, open);
    }
    return session.transactional(work, { ...transaction, propagation: TransactionPropagation.REQUIRED });
  }
}

function assertSome(label: string, scope: LiveScope | undefined): void {
  if (scope === undefined) {
    throw new NoActiveSessionError(`"${label}", which joins a session,`);
  }
  scope.assertOpen();
}

function assertNone(label: string, scope: LiveScope | undefined): void {
  if (scope?.state === 'open') {
    throw new SessionStateError(
      `"${label}", which is never to run in a session scope, was called in "${scope.label}". ` +
        'Call it from outside, or give its @InSession() another propagation.',
    );
  }
}
