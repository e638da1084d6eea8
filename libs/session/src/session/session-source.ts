import type { EntityManager, MikroORM } from '@mikro-orm/core';

import { adoptConnection } from './adopt-connection.js';
import { adoptEntityManager, assertNotAdopted } from './adopt-entity-manager.js';
import { assertOrmSeams } from './assert-orm-seams.js';
import type { ConnectionServices } from './connection-services.js';
import { createConnectionServices } from './create-connection-services.js';
import { CONTEXTUAL, type Contextual } from './create-session-class.js';
import { STATE, type WithState } from './known-session.js';
import { addForkOptions, assertForkOptions, mergeForkOptions, setFilterParams } from './merge-fork-options.js';
import type { ConnectionPools } from './pool/connection-pools.js';
import { adoptRequestContexts, IS_CONTEXT_FORK } from './scope/adopt-request-contexts.js';
import type { LiveScope, ScopeOptions } from './scope/live-scope.js';
import { RequestContextScopes } from './scope/request-context-scopes.js';
import { runInScope } from './scope/run-in-scope.js';
import { ScopeLookup } from './scope/scope-lookup.js';
import type { ScopeStorage } from './scope/scope-storage.js';
import { NoActiveSessionError, SessionClosedError } from './session-error.js';
import type { SessionDefaults, SessionForkOptions } from './session-options.js';
import { SessionState } from './session-state.js';
import type { BeginOptions, TransactionDefaults } from './transaction/begin-options.js';
import { ForkTransactions } from './transaction/fork-transactions.js';
import { ScopeTransaction } from './transaction/scope-transaction.js';

interface RunOptions {
  readonly fork?: SessionForkOptions | undefined;
  readonly transaction?: BeginOptions | undefined;
}

/** Makes the sessions of one connection, finds the current one, and runs work in them. */
export class SessionSource<Em extends EntityManager = EntityManager> {
  /** Resolves to the session of the current scope on every call, and throws where there is none. */
  readonly contextual: Em;
  /** Whether all its work is in the transaction of a test. */
  isInTest = false;
  readonly #em: Em;
  readonly #contextFork: Em;
  readonly #scopes: ScopeLookup;
  readonly #services: ConnectionServices;
  readonly #closeCallbacks: (() => Promise<void>)[] = [];
  #configured: SessionForkOptions | undefined;
  #notice: string | undefined;

  private constructor(
    readonly orm: MikroORM,
    private readonly storage: ScopeStorage,
    private readonly defaults: SessionDefaults,
  ) {
    this.#em = orm.em as Em;
    this.#scopes = new ScopeLookup(storage, defaults.scopeFunc);
    this.#services = createConnectionServices(defaults, {
      scopes: this.#scopes,
      onMisuse: (misuse) => this.storage.observer?.misused?.(misuse),
      runDetached: (about, work) => this.inScope({ kind: 'callback', ...about }, async () => work()),
    });
    this.#adoptEntityManager();
    this.contextual = this.#fork({ useContext: true }, 'session');
    this.#contextFork = Object.assign(this.#fork({ useContext: true }, 'application'), { [IS_CONTEXT_FORK]: true });
    storage.addConnection(this.#contextFork);
    adoptRequestContexts();
  }

  /**
   * @throws {SessionSetupError} when the connection has sessions already
   */
  static async create(orm: MikroORM, storage: ScopeStorage, defaults: SessionDefaults): Promise<SessionSource> {
    assertNotAdopted(orm.em);
    assertOrmSeams(orm);
    const source = new SessionSource(orm, storage, defaults);
    source.#notice = await adoptConnection(orm, source.connections, defaults.transactions);
    return source;
  }

  /** What sessions cannot see or do with this database, as sentences. */
  get notice(): string | undefined {
    return this.#notice;
  }

  /** The pools of the connection: who has a connection, and who waits for one. */
  get connections(): ConnectionPools {
    return this.#services.connections;
  }

  /** Calls back when the application begins to close. */
  onClose(callback: () => Promise<void>): void {
    this.#closeCallbacks.push(callback);
  }

  /** Called by NestJS before it waits for running requests. */
  async onModuleDestroy(): Promise<void> {
    void this.#services.connections.endUnreachable();
    for (const callback of this.#closeCallbacks) {
      await callback();
    }
  }

  /**
   * The EntityManager of the innermost `transactional()` call, in the current scope or outside of scopes, that a fork of
   * the application made. Never that of another connection, or of the code around the scope.
   */
  get blockWithoutSession(): EntityManager | undefined {
    const scope = this.currentScope;
    let frame = this.#services.frames.current;
    while (frame !== undefined && (frame.isFlush || frame.within !== scope)) {
      frame = frame.outer;
    }
    return frame?.em;
  }

  /** The defaults of the options of transactions. */
  get transactionDefaults(): TransactionDefaults | undefined {
    return this.defaults.transactions;
  }

  get currentScope(): LiveScope | undefined {
    return this.#scopes.current;
  }

  get current(): Em {
    const scope = this.currentScope;
    if (scope === undefined) {
      throw new NoActiveSessionError('The current session');
    }
    return this.#askIn(scope);
  }

  get tryCurrent(): Em | undefined {
    const scope = this.currentScope;
    return scope === undefined ? undefined : this.#askIn(scope);
  }

  configure(fork: SessionForkOptions | undefined): void {
    if (fork !== undefined) {
      assertForkOptions(fork);
      this.#configured = addForkOptions(this.#configured, fork);
    }
  }

  /** Makes a scope. The caller ends it. */
  createScope(options: ScopeOptions): LiveScope {
    return this.storage.createScope(options);
  }

  /** Returns the session of a scope, made on first use. */
  sessionIn(scope: LiveScope, fork?: SessionForkOptions): Em {
    return this.#stateIn(scope, fork).session as Em;
  }

  /** Returns the state of the session of the current scope. */
  get currentState(): SessionState {
    const em: Em & WithState = this.current;
    return em[STATE] as SessionState;
  }

  /** Opens a scope, runs `work` in it and ends it. */
  inScope<Result>(options: ScopeOptions, work: (scope: LiveScope) => Promise<Result>): Promise<Result> {
    const scope = this.createScope(options);
    return runInScope(this.storage, scope, this.contextual, () => work(scope));
  }

  /** Runs `work` with the session of a new scope. With `transaction`, commits before the end. */
  run<Result>(
    options: ScopeOptions,
    work: (session: Em) => Result | Promise<Result>,
    runOptions?: RunOptions,
  ): Promise<Result> {
    return this.runIn(this.createScope(options), work, runOptions);
  }

  /** Does the same in the given scope. The caller may end the scope before `work` has settled. */
  runIn<Result>(
    scope: LiveScope,
    work: (session: Em) => Result | Promise<Result>,
    { fork, transaction }: RunOptions = {},
  ): Promise<Result> {
    return runInScope(this.storage, scope, this.contextual, async () => {
      const state = this.#stateIn(scope, fork);
      const session = state.session as Em;
      if (transaction === undefined) {
        return work(session);
      }
      const open = await ScopeTransaction.begin(state, transaction);
      const result = await work(session);
      await open.commit();
      return result;
    });
  }

  /** Begins a transaction in a scope. The caller ends it. */
  begin(scope: LiveScope, transaction: BeginOptions): Promise<ScopeTransaction> {
    return ScopeTransaction.begin(this.#stateIn(scope), transaction);
  }

  /** Reports code that asks for the current session after its scope has ended. */
  #askIn(scope: LiveScope): Em {
    try {
      return this.sessionIn(scope);
    } catch (error) {
      if (error instanceof SessionClosedError) {
        this.#services.onMisuse({ code: error.code, scope: scope.label, message: error.message });
      }
      throw error;
    }
  }

  #stateIn(scope: LiveScope, fork?: SessionForkOptions): SessionState {
    return scope.member(this, () => this.#open(scope, fork));
  }

  #knownStateIn(scope: LiveScope | undefined): SessionState | undefined {
    return scope?.state === 'open' && scope.has(this) ? this.#stateIn(scope) : undefined;
  }

  #open(scope: LiveScope, fork?: SessionForkOptions): SessionState {
    const { fork: given } = this.defaults;
    // A function that returns nothing has forgotten the tenant: that is an error.
    const defaults = typeof given === 'function' ? (given(scope) ?? (null as never)) : given;
    const options = mergeForkOptions(scope, defaults, this.#configured, fork);
    const session: Em & WithState = this.#fork(options);
    setFilterParams(session, options);
    const state = new SessionState(scope, session, this.#services);
    session[STATE] = state;
    this.#services.leaks.watch(state);
    this.storage.observer?.opened(scope, this.orm);
    return state;
  }

  /** Forks the application's EntityManager itself: every session must have its filters, schema and subscribers. */
  #fork(options: SessionForkOptions & { useContext?: true }, contextual?: Contextual): Em {
    const fork = this.#em.fork({ ...options, disableContextResolution: true });
    return contextual === undefined ? fork : Object.assign(fork, { [CONTEXTUAL]: contextual });
  }

  #adoptEntityManager(): void {
    const { frames, holders } = this.#services;
    const contexts = new RequestContextScopes(this, this.storage);
    const forks = new ForkTransactions({
      frames,
      holders,
      scopes: this.#scopes,
      transactionsIn: (scope) => this.#knownStateIn(scope)?.knownTransactions,
    });
    adoptEntityManager(this.#em, {
      current: () => this.current,
      tryCurrent: () => this.tryCurrent,
      openContext: (next, options) => contexts.open(next, options),
      within: (em, work, transactional) => forks.run(em, work, transactional),
      known: () => this.#knownStateIn(this.currentScope)?.session,
      contextFork: () => (this.currentScope === undefined ? undefined : this.#contextFork),
    });
  }
}
