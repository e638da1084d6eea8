import { types } from 'node:util';

import { type EntityManager, IsolationLevel, type MikroORM, type Transaction } from '@mikro-orm/core';

import { ConnectionPools } from './pool/connection-pools.js';
import { addForkOptions, assertForkOptions, mergeForkOptions, setFilterParams } from './merge-fork-options.js';
import { keepSessionErrors } from './keep-session-errors.js';
import { LeakWatch } from './scope/leak-watch.js';
import { OwnershipPolicy } from './ownership/ownership-policy.js';
import { refuseBegin } from './pool/refuse-begin.js';
import { PoolDeadlock } from './pool/pool-deadlock.js';
import { STATE, type WithState } from './known-session.js';
import { reportEndFailure } from './scope/report-end-failure.js';
import { adoptRequestContexts, type ContextOptions, IS_CONTEXT_FORK } from './scope/adopt-request-contexts.js';
import { endAfter, runInScope } from './scope/run-in-scope.js';
import { assertOrmSeams } from './assert-orm-seams.js';
import { HeldIdle } from './pool/held-idle.js';
import type { LeaseOwner } from './pool/begun-transaction.js';
import { findUserFrame } from './find-user-frame.js';
import { hideTransaction } from './transaction/hide-transaction.js';
import { Roster } from './scope/roster.js';
import type { LiveScope, ScopeOptions } from './scope/live-scope.js';
import type { OnMisuse } from './scope/misuse.js';
import { ScopeLookup } from './scope/scope-lookup.js';
import type { ScopeStorage } from './scope/scope-storage.js';
import { ScopeTransaction } from './transaction/scope-transaction.js';
import type { EntityManagerClass } from './entity-manager-class.js';
import { CONTEXTUAL, type Contextual, createSessionClass } from './create-session-class.js';
import { NoActiveSessionError, SessionSetupError } from './session-error.js';
import type { SessionDefaults, SessionForkOptions } from './session-options.js';
import { ForkHolder } from './pool/fork-holder.js';
import { failedEnd, isSavepoint } from './transaction/joined-transactions.js';
import type { TransactionOutcome } from './transaction/session-callbacks.js';
import { SessionState } from './session-state.js';
import type { BeginOptions } from './transaction/begin-options.js';
import type { ConnectionServices } from './connection-services.js';
import { TransactionFrames } from './transaction/transaction-frames.js';
import { guardStreams } from './transaction/guard-streams.js';
import { guardTransactionEnd } from './transaction/guard-transaction-end.js';
import { guardTransactionStart } from './transaction/guard-transaction-start.js';
import { findKnowledge } from './drivers/find-knowledge.js';
import { watchDriver } from './drivers/watch-driver.js';
import { watchPools } from './pool/watch-pools.js';

interface RunOptions {
  readonly fork?: SessionForkOptions | undefined;
  readonly transaction?: BeginOptions | undefined;
}

/** Makes the sessions of one connection, and makes the application's EntityManager answer with them. */
export class SessionSource<Em extends EntityManager = EntityManager> {
  /** Resolves to the session of the current scope on every call, and throws where there is none. */
  readonly contextual: Em;
  /** Whether all that it does is in the transaction of a test. */
  isInTest = false;
  readonly #em: Em;
  readonly #contextFork: Em;
  readonly #scopes: ScopeLookup;
  readonly #surroundings: ConnectionServices;
  readonly #deadlock: PoolDeadlock;
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
    const onMisuse: OnMisuse = (misuse) => this.storage.observer?.misused?.(misuse);
    const heldIdle = new HeldIdle((owner) => this.#findPlace(owner), onMisuse);
    this.#surroundings = {
      scopes: this.#scopes,
      ownership: new OwnershipPolicy(defaults.ownership ?? 'error', onMisuse),
      connections: new ConnectionPools(
        () => this.currentScope,
        (pool, wait) => this.#deadlock.wait(pool, wait),
        defaults.resetConnections ?? 'changed',
        { heldIdleAfter: defaults.heldIdleAfter, onHeldIdle: (owner, time) => heldIdle.report(owner, time) },
      ),
      leaks: new LeakWatch(defaults.leakAfter, onMisuse),
      frames: new TransactionFrames((em: EntityManager & WithState) => em[STATE]),
      unflushed: defaults.unflushed ?? 'warn',
      holders: new Roster(),
      onMisuse,
      runDetached: (about, work) => this.inScope({ kind: 'callback', ...about }, async () => work()),
    };
    this.#deadlock = new PoolDeadlock(this.#surroundings);
    this.#adopt();
    this.contextual = this.#fork({ useContext: true }, 'session');
    this.#contextFork = Object.assign(this.#fork({ useContext: true }, 'application'), { [IS_CONTEXT_FORK]: true });
    storage.addConnection(this.#contextFork);
    adoptRequestContexts();
  }

  /**
   * @throws {SessionSetupError} when the connection has sessions already
   */
  static async create(orm: MikroORM, storage: ScopeStorage, defaults: SessionDefaults): Promise<SessionSource> {
    if (CONTEXTUAL in orm.em) {
      throw new SessionSetupError(
        `SessionModule was imported twice for the connection "${orm.em.name}". Call forRoot() or forRootAsync() once ` +
          'per connection: what it provides is global.',
      );
    }
    assertOrmSeams(orm);
    const source = new SessionSource(orm, storage, defaults);
    const leases = source.#surroundings.connections;
    const connection = orm.driver.getConnection('write');
    const knowledge = findKnowledge(orm);
    if (knowledge === undefined) {
      leases.followHooks(connection, orm);
      leases.expectsPool = await watchPools(orm, (pool) => leases.follow(pool));
    } else {
      source.#notice = watchDriver(orm, knowledge, leases);
    }
    guardTransactionStart(connection, leases.beginnings, {
      defaults: defaults.transactions,
      isolationLevel: knowledge?.isolationLevel ?? IsolationLevel.READ_COMMITTED,
    });
    guardTransactionEnd(connection);
    guardStreams(connection);
    refuseBegin(connection, knowledge?.lexis);
    keepSessionErrors(orm);
    return source;
  }

  /** What its sessions cannot see or do, which depends on the database. */
  get notice(): string | undefined {
    return this.#notice;
  }

  /** Who has its connections, and who waits for one. */
  get connections(): ConnectionPools {
    return this.#surroundings.connections;
  }

  /** Calls back when the application begins to close. */
  onClose(callback: () => Promise<void>): void {
    this.#closeCallbacks.push(callback);
  }

  /** Called by NestJS, before it waits for the requests that run. */
  async onModuleDestroy(): Promise<void> {
    void this.#surroundings.connections.endUnreachable();
    for (const callback of this.#closeCallbacks) {
      await callback();
    }
  }

  get currentScope(): LiveScope | undefined {
    return this.#scopes.current;
  }

  get current(): Em {
    const scope = this.currentScope;
    if (scope === undefined) {
      throw new NoActiveSessionError('The current session');
    }
    return this.sessionIn(scope);
  }

  get tryCurrent(): Em | undefined {
    const scope = this.currentScope;
    return scope === undefined ? undefined : this.sessionIn(scope);
  }

  configure(fork: SessionForkOptions | undefined): void {
    if (fork !== undefined) {
      assertForkOptions(fork);
      this.#configured = addForkOptions(this.#configured, fork);
    }
  }

  /** Makes a scope that its maker ends. */
  createScope(options: ScopeOptions): LiveScope {
    return this.storage.createScope(options);
  }

  /** Returns the session of a scope, made on first use. */
  sessionIn(scope: LiveScope, fork?: SessionForkOptions): Em {
    return this.#stateIn(scope, fork).session as Em;
  }

  /** Returns what is known of the session of the current scope. */
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

  /** Does the same in a scope that its maker may end before `work` has settled. */
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

  /** Begins a transaction in a scope, which its maker ends. */
  begin(scope: LiveScope, transaction: BeginOptions): Promise<ScopeTransaction> {
    return ScopeTransaction.begin(this.#stateIn(scope), transaction);
  }

  #findPlace(owner: LeaseOwner): string | undefined {
    const { holders, leaks } = this.#surroundings;
    const state = [...holders].find(({ scope }) => scope === owner);
    return state && findUserFrame(leaks.stackOf(state));
  }

  #stateIn(scope: LiveScope, fork?: SessionForkOptions): SessionState {
    return scope.member(this, () => this.#open(scope, fork));
  }

  #open(scope: LiveScope, fork?: SessionForkOptions): SessionState {
    const { fork: given } = this.defaults;
    // A function that forgot to return something has forgotten the tenant.
    const defaults = typeof given === 'function' ? (given(scope) ?? (null as never)) : given;
    const options = mergeForkOptions(scope, defaults, this.#configured, fork);
    const session: Em & WithState = this.#fork(options);
    setFilterParams(session, options);
    const state = new SessionState(scope, session, this.#surroundings);
    session[STATE] = state;
    this.#surroundings.leaks.watch(state);
    this.storage.observer?.opened(scope, this.orm);
    return state;
  }

  /** Forks the application's EntityManager itself, whose filters, schema and subscribers every session must have. */
  #fork(options: SessionForkOptions & { useContext?: true }, contextual?: Contextual): Em {
    const fork = this.#em.fork({ ...options, disableContextResolution: true });
    return contextual === undefined ? fork : Object.assign(fork, { [CONTEXTUAL]: contextual });
  }

  /** Runs `next` in a scope of its own, which ends when a promise of it has settled, and else with the scope around it. */
  #openContext<Result>(next: () => Result, options: ContextOptions): Result {
    const around = this.currentScope;
    if (around?.state !== 'open') {
      return next();
    }
    const scope = this.createScope({ kind: 'run', label: `RequestContext in ${around.label}`, startedIn: around });
    const enter = (): Result =>
      this.storage.run(scope, () =>
        hideTransaction(this.contextual, () => {
          if (Object.keys(options).length > 0) {
            this.sessionIn(scope, options);
          }
          return next();
        }),
      );
    let result: Result;
    try {
      result = enter();
    } catch (error) {
      scope.end('threw').catch((endError: unknown) => reportEndFailure(scope, endError));
      throw error;
    }
    if (types.isPromise(result)) {
      return endAfter(scope, () => result as Promise<unknown>) as Result;
    }
    if (scope.members.length === 0) {
      scope.standsFor = around;
    } else {
      around.member(scope, () => ({
        heldConnections: 0,
        heldIdleFor: 0,
        facts: undefined,
        close: (ending) => scope.end(ending),
        dropConnections: () => scope.dropConnections(),
        endForgotten: () => scope.endForgotten(),
      }));
    }
    return result;
  }

  /** The session of the current scope stands for the transaction of a plain fork, as the application's EntityManager does. */
  async #joinWithin<Plain extends EntityManager, Result>(
    em: Plain,
    work: (inner: Plain) => Result | Promise<Result>,
    transactional: (work: (inner: Plain) => Promise<Result>) => Promise<Result>,
  ): Promise<Result> {
    const { frames } = this.#surroundings;
    const scope = this.currentScope;
    const around: Transaction = em.isInTransaction() ? em.getTransactionContext() : undefined;
    if (scope?.state !== 'open') {
      return frames.run(em, (frame) =>
        transactional(async (inner) => {
          frame.em = inner;
          return this.#holding(inner, around, work);
        }),
      );
    }
    let fork: Plain | undefined;
    let transaction: Transaction;
    const settle = async (end: TransactionOutcome): Promise<void> => {
      if (fork !== undefined && scope.state === 'open' && scope.has(this)) {
        await this.#stateIn(scope).knownTransactions?.settleCallbacks(fork, end);
      }
    };
    let result: Result;
    try {
      result = await frames.run(em, (frame) =>
        transactional(async (inner) => {
          fork = inner;
          transaction = inner.getTransactionContext();
          frame.em = inner;
          frame.within = scope;
          return this.#holding(inner, around, work);
        }),
      );
    } catch (error) {
      await settle(failedEnd(transaction));
      throw error;
    }
    await settle('commit');
    return result;
  }

  /** Runs the block of an EntityManager that belongs to no session, and so is no holder of a connection by itself. */
  async #holding<Plain extends EntityManager, Result>(
    em: Plain,
    around: Transaction,
    work: (em: Plain) => Result | Promise<Result>,
  ): Promise<Result> {
    const transaction = em.getTransactionContext();
    if (transaction === undefined || transaction === around || isSavepoint(transaction)) {
      return work(em);
    }
    const { holders } = this.#surroundings;
    const holder = new ForkHolder(em, transaction);
    holders.add(holder);
    try {
      return await work(em);
    } finally {
      holders.delete(holder);
    }
  }

  #adopt(): void {
    const { config } = this.#em;
    const sessions = createSessionClass(this.#em.constructor as EntityManagerClass, {
      current: () => this.current,
      tryCurrent: () => this.tryCurrent,
      openContext: (next, options) => this.#openContext(next, options),
      within: (em, work, transactional) => this.#joinWithin(em, work, transactional),
      known: () => {
        const scope = this.currentScope;
        return scope?.state === 'open' && scope.has(this) ? this.sessionIn(scope) : undefined;
      },
      contextFork: () => (this.currentScope === undefined ? undefined : this.#contextFork),
    });
    // Seam: mikro-orm/entity-manager
    // A change of prototype, once per application, spares the user a line of configuration before MikroORM.init().
    Object.setPrototypeOf(this.#em, sessions.prototype as object);
    Object.assign(this.#em, { [CONTEXTUAL]: 'application' satisfies Contextual });
    // Seam: mikro-orm/context-option
    const outside = config.get('context');
    config.set('context', (name) => this.tryCurrent ?? outside(name));
  }
}
