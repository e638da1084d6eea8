import type { LiveScope } from '../session/scope/live-scope.js';
import { NoActiveSessionError, SessionStateError } from '../session/session-error.js';
import type { SessionSource } from '../session/session-source.js';
import { MethodTransaction, type MethodTransactionOptions } from './method-transaction.js';

/** How a method with `@InSession()` uses the scope in which it is called. */
export type Propagation = 'join' | 'new' | 'mandatory' | 'never';

export interface SessionMethodOptions {
  readonly label: string;
  readonly propagation?: Propagation;
  readonly transaction?: true | MethodTransactionOptions;
}

/** Runs one call of a method in the scope that its `propagation` asks for. */
export function runSessionMethod<Result>(
  source: SessionSource,
  { label, propagation = 'join', transaction: wanted }: SessionMethodOptions,
  work: () => Promise<Result>,
): Promise<Result> {
  const scope = source.currentScope;
  const transaction = wanted && new MethodTransaction(wanted);
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

  async function open(): Promise<Result> {
    const options = { kind: 'method', label, startedIn: scope } as const;
    transaction?.assertNeedsNone(label);
    return transaction?.own === undefined
      ? source.inScope(options, work)
      : source.run(options, work, { transaction: transaction.own });
  }

  function join(): Promise<Result> {
    return transaction === undefined
      ? work()
      : transaction.run(source.current, { label, around: scope?.label ?? label }, work);
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
      `"${label}" must not run in a session scope, but was called in "${scope.label}". ` +
        'Call it from outside, or give its @InSession() another propagation.',
    );
  }
}
