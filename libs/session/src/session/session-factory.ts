import type { EntityManager } from '@mikro-orm/core';

import { assertBeginOptions } from './transaction/assert-begin-options.js';
import { anObject, anything, assertOptions, ofType, type Rule } from './assert-options.js';
import type { ScopeKind } from './scope/scope.js';
import type { ScopeInfo } from './scope/scope-info.js';
import type { SessionOptions } from './session-options.js';
import type { ScopeOptions } from './scope/live-scope.js';
import type { BeginOptions } from './transaction/begin-options.js';
import type { SessionSource } from './session-source.js';
import type { SessionEntityManager } from './session-types.js';

const defaultRules: Record<Exclude<keyof SessionOptions, 'label'>, Rule> = { fork: anything, info: anObject };
const rules: Record<keyof SessionOptions, Rule> = { ...defaultRules, label: ofType('string') };
const beginRules = { ...rules, transaction: anObject };

/** A session that its maker must close. Closing twice is a no-op. */
export type OwnedSession<Em extends EntityManager = SessionEntityManager> = Em &
  AsyncDisposable & {
    /**
     * Rolls back an open transaction, gives the connection back and forgets all entities. The session cannot be used
     * again.
     */
    close(): Promise<void>;
  };

/**
 * Makes sessions, as SQLAlchemy's `sessionmaker` does. `Em` is the EntityManager of your driver: see SessionTypes.
 *
 * @example
 * const total = await factory.begin(async (session) => {
 *   session.create(Order, { amount: 5 });
 *   return session.count(Order);
 * });
 */
export class SessionFactory<Em extends EntityManager = SessionEntityManager> {
  static {
    // NestJS shows this name in its error when no module provides the class.
    Object.defineProperty(this, 'name', { value: 'SessionFactory (of SessionModule.forRoot())' });
  }

  readonly #source: SessionSource<Em>;
  #info: ScopeInfo | undefined;

  constructor(source: SessionSource<Em>) {
    this.#source = source;
  }

  /**
   * Makes a session that belongs to the caller. The caller must close it.
   *
   * @example
   * await using session = factory.create();
   */
  create(options: SessionOptions = {}): OwnedSession<Em> {
    const scope = this.#source.createScope(this.#scopeOptions('create', options));
    const session = this.#source.sessionIn(scope, options.fork);
    const close = (): Promise<void> => scope.end('disposed');
    return Object.assign(session, { close, [Symbol.asyncDispose]: close });
  }

  /**
   * Runs `work` in a new session, and closes the session when `work` settles. Commits only what `work` itself commits.
   */
  async run<Result>(work: (session: Em) => Result | Promise<Result>, options: SessionOptions = {}): Promise<Result> {
    return this.#source.run(this.#scopeOptions('run', options), work, { fork: options.fork });
  }

  /** Runs `work` in a new session and one transaction: flushed and committed when it returns, rolled back when it throws. */
  async begin<Result>(
    work: (session: Em) => Result | Promise<Result>,
    options: SessionOptions & { readonly transaction?: BeginOptions } = {},
  ): Promise<Result> {
    return this.#source.run(this.#scopeOptions('begin', options), work, {
      fork: options.fork,
      transaction: options.transaction ?? {},
    });
  }

  /**
   * Sets defaults for the sessions that this connection makes from now on. They add to earlier defaults. `info` is for
   * the scopes that this factory opens: the own `info` of a scope, and that of the scope around it, win.
   */
  configure(options: Omit<SessionOptions, 'label'>): void {
    assertOptions('SessionFactory.configure()', options, defaultRules);
    this.#source.configure(options.fork);
    this.#info = options.info === undefined ? this.#info : { ...this.#info, ...options.info };
  }

  #scopeOptions(kind: ScopeKind, options: SessionOptions & { readonly transaction?: BeginOptions }): ScopeOptions {
    assertOptions(`SessionFactory.${kind}()`, options, kind === 'begin' ? beginRules : rules);
    const { label, info, transaction } = options;
    if (transaction !== undefined) {
      assertBeginOptions(`SessionFactory.${kind}()`, transaction);
    }
    const startedIn = this.#source.currentScope;
    return {
      kind,
      label: label ?? `SessionFactory.${kind}`,
      startedIn,
      info: this.#info === undefined ? info : { ...this.#info, ...startedIn?.portableInfo, ...info },
    };
  }
}
