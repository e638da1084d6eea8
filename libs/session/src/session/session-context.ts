import type { EntityManager } from '@mikro-orm/core';

import { anything, assertOptions, type Rule } from './assert-options.js';
import type { Scope } from './scope/scope.js';
import { NoActiveSessionError, SessionStateError } from './session-error.js';
import type { SessionOptions } from './session-options.js';
import type { SessionSource } from './session-source.js';
import type { SessionEntityManager } from './session-types.js';
import type { Callback, TransactionEnd } from './transaction/session-callbacks.js';

const openRules: Record<'fork', Rule> = { fork: anything };

/**
 * Returns the session of the running code, as SQLAlchemy's `scoped_session` does. `Em` is the EntityManager of your
 * driver: see SessionTypes.
 */
export class SessionContext<Em extends EntityManager = SessionEntityManager> {
  static {
    // NestJS shows this name in its error when no module provides the class.
    Object.defineProperty(this, 'name', { value: 'SessionContext (of SessionModule.forRoot())' });
  }

  readonly #source: SessionSource<Em>;

  constructor(source: SessionSource<Em>) {
    this.#source = source;
  }

  /**
   * The session of the current scope.
   *
   * @throws {NoActiveSessionError} outside of every scope
   * @throws {SessionClosedError} in code that outlived its scope
   */
  get current(): Em {
    return this.#source.current;
  }

  /** The session of the current scope. Undefined outside of every scope, and after the end of the scope. */
  get tryCurrent(): Em | undefined {
    const scope = this.#source.currentScope;
    return scope?.state === 'open' ? this.#source.sessionIn(scope) : undefined;
  }

  /**
   * The current scope, also when it has ended.
   *
   * @throws {NoActiveSessionError} outside of every scope
   */
  get scope(): Scope {
    const scope = this.tryScope;
    if (scope === undefined) {
      throw new NoActiveSessionError('SessionContext.scope');
    }
    return scope;
  }

  /** The current scope, also when it has ended. Undefined outside of every scope. */
  get tryScope(): Scope | undefined {
    return this.#source.currentScope;
  }

  /**
   * Makes the session of the current scope with these options. Call it before the first use of the session, for example
   * in a middleware that knows the tenant.
   *
   * @throws {SessionStateError} when the scope has a session already
   *
   * @example
   * context.open({ fork: { schema: tenant } });
   */
  open(options: Pick<SessionOptions, 'fork'>): Em {
    assertOptions('SessionContext.open()', options, openRules);
    const scope = this.#source.currentScope;
    if (scope === undefined) {
      throw new NoActiveSessionError('SessionContext.open()');
    }
    if (scope.has(this.#source)) {
      throw new SessionStateError(
        `SessionContext.open() was called in "${scope.label}", which has a session already. ` +
          'Call it before the first use of the session, or close that one with SessionContext.remove().',
      );
    }
    return this.#source.sessionIn(scope, options.fork);
  }

  /**
   * Calls back after the outermost transaction of the current session has been committed and others can see its data.
   * Without an open transaction, the callback waits for the next one. It runs in a scope of its own. An error of it is
   * logged.
   */
  afterCommit(callback: Callback): void {
    this.#addHook('commit', callback);
  }

  /** Calls back after a rollback of the transaction, or of the savepoint, that is open now. */
  afterRollback(callback: Callback): void {
    this.#addHook('rollback', callback);
  }

  /** Calls back after the current session has been closed. */
  onClose(callback: Callback): void {
    this.#source.currentState.transactions.onClose(callback);
  }

  #addHook(on: TransactionEnd, callback: Callback): void {
    const { transactions, innermostTransaction, session } = this.#source.currentState;
    transactions.onEnd(innermostTransaction ?? session, on, callback);
  }

  /** Closes the session of the current scope and forgets it. The next use in this scope makes a new one. */
  async remove(): Promise<void> {
    await this.#source.currentScope?.remove(this.#source);
  }
}
