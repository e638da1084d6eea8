import {
  type EntityManager,
  type EntityName,
  type FilterQuery,
  FlushMode,
  type ForkOptions,
  type Transaction,
  type TransactionOptions,
} from '@mikro-orm/core';

import { findAmbient } from './scope/find-ambient.js';
import { noteDirectWrites } from './transaction/note-direct-writes.js';
import { assertOptionsKept } from './transaction/assert-options-kept.js';
import { handOutChecked } from './ownership/hand-out-checked.js';
import type { EntityManagerClass } from './entity-manager-class.js';
import { type ContextOptions, OPEN_CONTEXT } from './scope/adopt-request-contexts.js';
import { type KnownSession, STATE, TAKE_OPTIONS, type WithState } from './known-session.js';
import type { BeginOptions } from './transaction/begin-options.js';
import type { SessionTransactions } from './transaction/session-transactions.js';
import { PARENT } from './transaction/transaction-undos.js';

/** The property that makes an EntityManager answer with the session of the current scope. */
export const CONTEXTUAL = Symbol('contextual');

/** MikroORM keeps the flush mode of an EntityManager in a private field. */
const FLUSH_MODE = Symbol('flush mode');

/** The property that makes an EntityManager answer for itself, not for a transaction within it. */
const EXACT = Symbol('exact');

/** MikroORM keeps in a private field whether an EntityManager makes no transactions. */
const IS_WITHOUT = Symbol('without transactions');

const TRANSACTIONS = Symbol('transactions');

/**
 * A `session` answers with the session of the current scope, or throws. An `application` does the same inside a scope;
 * outside of scopes it answers as MikroORM does.
 */
export type Contextual = 'session' | 'application';

type Rest<Args extends readonly unknown[]> = Args extends readonly [unknown, ...infer Others] ? Others : never;

export interface SessionLookup {
  tryCurrent(): EntityManager | undefined;
  current(): EntityManager;
  /** Runs `next` in a new scope within the current one. */
  openContext<Result>(next: () => Result, options: ContextOptions): Result;
  /** Runs a `transactional()` call of an EntityManager that belongs to no session. */
  within<Em extends EntityManager, Result>(
    em: Em,
    work: (inner: Em) => Result | Promise<Result>,
    transactional: (work: (inner: Em) => Promise<Result>) => Promise<Result>,
  ): Promise<Result>;
  /** The session of the current scope, if the scope is open and has one. */
  known(): (EntityManager & WithState) | undefined;
  /** The fork that answers as the application's EntityManager does. Undefined outside of every scope. */
  contextFork(): EntityManager | undefined;
}

/**
 * Keeps the open transaction of an EntityManager. MikroORM takes it away while another one runs beside it, also from the
 * code that runs meanwhile.
 */
function keepTransaction<Result>(em: EntityManager, transact: () => Promise<Result>): Promise<Result> {
  const open: unknown = em.getTransactionContext();
  const result = transact();
  if (open !== em.getTransactionContext()) {
    // Seam: mikro-orm/suspended-transaction
    em.setTransactionContext(open);
  }
  return result;
}

/**
 * Extends the EntityManager class of the application, so that it and all of its forks ask `lookup` which session
 * answers, and whether that session may be used. Nearly every public method of MikroORM's EntityManager calls
 * `getContext()`.
 */
export function createSessionClass(Base: EntityManagerClass, lookup: SessionLookup): EntityManagerClass {
  // Seam: mikro-orm/entity-manager
  class SessionEntityManager extends Base implements WithState {
    declare [STATE]?: KnownSession;
    declare [CONTEXTUAL]?: Contextual;
    declare [EXACT]?: boolean;
    declare [IS_WITHOUT]?: boolean | undefined;
    declare [FLUSH_MODE]?: FlushMode | `${FlushMode}` | undefined;

    override getContext(validate = true): this {
      const state = this[STATE];
      if (state !== undefined) {
        state.assertUsable();
        return (this === state.session && this[EXACT] !== true ? (state.innermostTransaction ?? this) : this) as this;
      }
      const contextual = this[CONTEXTUAL];
      if (contextual === undefined) {
        return this;
      }
      if (contextual === 'session') {
        return lookup.current().getContext(validate) as this;
      }
      return (lookup.tryCurrent()?.getContext(validate) ?? findAmbient(this, validate)) as this;
    }

    override fork(options: ForkOptions = {}): this {
      const state = this[STATE];
      // A fork with `useContext` needs no session: the middleware of @mikro-orm/nestjs makes one for each request. Such
      // a fork has no state, so that all callers can share one.
      const isContextFork = state === undefined && options.useContext === true;
      const shared = isContextFork && Object.keys(options).length === 1 ? lookup.contextFork() : undefined;
      if (shared !== undefined) {
        return shared as this;
      }
      const fork = super.fork(isContextFork ? { ...options, disableContextResolution: true } : options);
      // Seam: mikro-orm/disable-transactions
      fork[IS_WITHOUT] = options.disableTransactions ?? this[IS_WITHOUT] ?? this.config.get('disableTransactions');
      if (state !== undefined) {
        fork[STATE] = state;
        Object.assign(fork, { [PARENT]: this });
        state.guard(fork);
      } else if (options.useContext === true) {
        fork[CONTEXTUAL] = 'application';
      }
      return fork;
    }

    [OPEN_CONTEXT]<Result>(next: () => Result, options: ContextOptions): Result {
      return this[CONTEXTUAL] === undefined ? next() : lookup.openContext(next, options);
    }

    override async flush(): Promise<void> {
      const em = this.getContext();
      if (em !== this) {
        return em.flush();
      }
      const transactions = em[STATE]?.transactions;
      return transactions === undefined ? super.flush() : transactions.flush(em, () => super.flush());
    }

    // Seam: mikro-orm/flush-mode
    override setFlushMode(flushMode?: FlushMode | `${FlushMode}`): void {
      super.setFlushMode(flushMode);
      this.getContext(false)[FLUSH_MODE] = flushMode;
    }

    /** Overlapping reads may each need a flush first. The first read flushes, and the others wait for that flush. */
    override async tryFlush<Entity extends object>(
      entityName: EntityName<Entity>,
      options: Parameters<EntityManager['tryFlush']>[1],
    ): Promise<void> {
      const em = this.getContext();
      const meta = em.getMetadata().get(entityName);
      const mode = options.flushMode ?? em[FLUSH_MODE] ?? em.config.get('flushMode');
      const isWanted = (): boolean =>
        mode === FlushMode.ALWAYS
          ? em[STATE]?.isInFlushOf(em) === false
          : mode !== FlushMode.COMMIT && em.getUnitOfWork().shouldAutoFlush(meta);
      let running = em[STATE]?.knownTransactions?.flushOf(em);
      while (running !== undefined && isWanted()) {
        await running;
        running = em[STATE]?.knownTransactions?.flushOf(em);
      }
      const flushed = super.tryFlush(entityName, options);
      return em[STATE]?.whileOpen(flushed) ?? flushed;
    }

    /** A filter may take its time, or never answer. A session that has ended by then sends no statement. */
    override async applyFilters<Entity extends object>(
      entityName: EntityName<Entity>,
      ...rest: Rest<Parameters<typeof EntityManager.prototype.applyFilters<Entity>>>
    ): Promise<FilterQuery<Entity> | undefined> {
      const state = this.getContext(false)[STATE];
      const where = super.applyFilters(entityName, ...rest);
      return state?.whileOpen(where) ?? where;
    }

    /**
     * Closes the stream with the session. The cursor of a half-read stream would keep its connection, and block a
     * rollback there.
     */
    override async *stream<Entity extends object>(
      entityName: EntityName<Entity>,
      options?: object,
    ): AsyncGenerator<never, void> {
      const em = this.getContext();
      const state = em[STATE];
      if (em !== this || state === undefined) {
        yield* (
          em === this ? super.stream(entityName, options) : em.stream(entityName, options)
        ) as AsyncIterable<never>;
        return;
      }
      yield* state.read(super.stream(entityName, options) as AsyncIterator<never>, em.getTransactionContext());
    }

    override async transactional<Result>(
      work: (em: this) => Result | Promise<Result>,
      options: TransactionOptions = {},
    ): Promise<Result> {
      const em = this.getContext(false);
      if (em !== this) {
        return em.transactional(work, options);
      }
      const state = em[STATE];
      const transact = (inner: (em: this) => Result | Promise<Result>): Promise<Result> =>
        keepTransaction(em, () => super.transactional(inner, options));
      if (state === undefined) {
        return lookup.within(em, work, transact);
      }
      const transactions = em[TRANSACTIONS];
      if (transactions === undefined) {
        return super.transactional(work, options);
      }
      assertOptionsKept(em, state.scope.label, options);
      return transactions.isJoining(em, options)
        ? super.transactional(work, options)
        : transactions.transactional(em, options, work, transact);
    }

    override async begin(options: Omit<TransactionOptions, 'ignoreNestedTransactions'> = {}): Promise<void> {
      const em = this.getContext(false);
      if (em !== this) {
        return em.begin(options);
      }
      const transactions = em[TRANSACTIONS];
      return transactions === undefined
        ? super.begin(options)
        : transactions.begin(em, options, () => super.begin(options));
    }

    [TAKE_OPTIONS]({ flushMode, loggerContext, signal, inflightQueryAbortStrategy }: BeginOptions): void {
      if (flushMode !== undefined) {
        this.setFlushMode(flushMode);
      }
      if (loggerContext !== undefined) {
        this.loggerContext = { ...this.loggerContext, ...loggerContext };
      }
      if (signal !== undefined) {
        this.signal = this.signal === undefined ? signal : AbortSignal.any([this.signal, signal]);
      }
      if (inflightQueryAbortStrategy !== undefined) {
        this.inflightQueryAbortStrategy = inflightQueryAbortStrategy;
      }
    }

    override async commit(): Promise<void> {
      const em = this.getContext(false);
      if (em !== this) {
        return em.commit();
      }
      const transactions = em[TRANSACTIONS];
      return transactions === undefined ? super.commit() : transactions.end(em, 'commit', () => super.commit());
    }

    override async rollback(): Promise<void> {
      const em = this.getContext(false);
      if (em !== this) {
        return em.rollback();
      }
      const transactions = em[TRANSACTIONS];
      return transactions === undefined ? super.rollback() : transactions.end(em, 'rollback', () => super.rollback());
    }

    /** The transactions of its session. Undefined where the option `disableTransactions` is set. */
    get [TRANSACTIONS](): SessionTransactions | undefined {
      return this[IS_WITHOUT] === true ? undefined : this[STATE]?.transactions;
    }

    /**
     * MikroORM calls this to restore a transaction that an inner EntityManager had suspended. It must reach this
     * EntityManager itself.
     */
    override setTransactionContext(transaction?: Transaction): void {
      const before = this[EXACT];
      this[EXACT] = this[STATE] !== undefined;
      try {
        super.setTransactionContext(transaction);
      } finally {
        this[EXACT] = before === true;
      }
      if (transaction !== undefined) {
        this[STATE]?.track(this, transaction);
      }
    }
  }
  handOutChecked(SessionEntityManager, (em) => {
    const { [STATE]: state, [CONTEXTUAL]: contextual } = em as SessionEntityManager;
    if (state !== undefined || contextual === undefined) {
      return em;
    }
    return contextual === 'session' ? lookup.tryCurrent() : lookup.known();
  });
  noteDirectWrites(SessionEntityManager, (em) => {
    const { [STATE]: state, [CONTEXTUAL]: contextual } = em as SessionEntityManager;
    const session = state?.session ?? (contextual && lookup.known());
    return session === undefined || (state !== undefined && em !== session)
      ? em
      : (session[STATE]?.innermostTransaction ?? session);
  });
  return SessionEntityManager;
}
