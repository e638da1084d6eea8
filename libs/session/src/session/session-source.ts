import { type EntityManager, type MikroORM, TransactionContext, type TransactionOptions } from '@mikro-orm/core';

import { reportEndFailure } from './report-end-failure.js';
import { LiveScope, type LiveScopeOptions } from './scope.js';
import type { ScopeStorage } from './scope-storage.js';
import { CONTEXTUAL, type Contextual, createSessionClass, type EntityManagerClass } from './session-class.js';
import { NoActiveSessionError, SessionSetupError } from './session-error.js';
import type { SessionDefaults, SessionForkOptions } from './session-options.js';
import { RECORD, SessionRecord } from './session-record.js';

export type BeginOptions = Omit<TransactionOptions, 'ctx' | 'propagation' | 'ignoreNestedTransactions'>;

/** Makes the sessions of one connection, and makes the application's EntityManager answer with them. */
export class SessionSource<Em extends EntityManager = EntityManager> {
  /** Resolves to the session of the current scope on every call, and throws where there is none. */
  readonly contextual: Em;
  readonly #em: Em;
  #configured: SessionForkOptions = {};

  constructor(
    readonly orm: MikroORM,
    readonly storage: ScopeStorage,
    private readonly defaults: SessionDefaults = {},
  ) {
    this.#em = orm.em as Em;
    if (CONTEXTUAL in this.#em) {
      throw new SessionSetupError(
        `SessionModule was imported twice for the connection "${orm.em.name}". Call forRoot() or forRootAsync() once ` +
          'per connection: what it provides is global.',
      );
    }
    this.#adopt();
    this.contextual = this.#fork({ useContext: true }, 'session');
  }

  get current(): Em {
    const scope = this.storage.current;
    if (scope === undefined) {
      throw new NoActiveSessionError('The current session');
    }
    return this.sessionIn(scope);
  }

  get tryCurrent(): Em | undefined {
    const scope = this.storage.current;
    return scope === undefined ? undefined : this.sessionIn(scope);
  }

  configure(fork: SessionForkOptions): void {
    this.#configured = { ...this.#configured, ...fork };
  }

  /** Gives the session of a scope, made on first use. */
  sessionIn(scope: LiveScope, fork?: SessionForkOptions): Em {
    return scope.member(this, () => this.#open(scope, fork)).session as Em;
  }

  /** Opens a scope, runs `work` in it and ends it. With `transaction`, commits before the end. */
  run<Result>(
    options: LiveScopeOptions,
    work: (session: Em) => Result | Promise<Result>,
    { fork, transaction }: { fork?: SessionForkOptions | undefined; transaction?: BeginOptions | undefined } = {},
  ): Promise<Result> {
    const scope = new LiveScope(options);
    // The transaction context shields the scope from a transaction that the caller may have open.
    return this.storage.run(scope, () =>
      TransactionContext.create(this.contextual, () =>
        endAfter(scope, async () => {
          const session = this.sessionIn(scope, fork);
          if (transaction === undefined) {
            return work(session);
          }
          await session.begin(transaction);
          const result = await work(session);
          await session.commit();
          return result;
        }),
      ),
    );
  }

  #open(scope: LiveScope, fork?: SessionForkOptions): SessionRecord {
    const defaults = typeof this.defaults.fork === 'function' ? this.defaults.fork(scope) : this.defaults.fork;
    const session = this.#fork({ ...defaults, ...this.#configured, ...fork });
    const record = new SessionRecord(scope, session);
    Object.assign(session, { [RECORD]: record });
    return record;
  }

  /** Forks the application's EntityManager itself, whose filters, schema and subscribers every session must have. */
  #fork(options: SessionForkOptions & { useContext?: true }, contextual?: Contextual): Em {
    const fork = this.#em.fork({ ...options, disableContextResolution: true });
    return contextual === undefined ? fork : Object.assign(fork, { [CONTEXTUAL]: contextual });
  }

  #adopt(): void {
    const { config } = this.#em;
    const sessions = createSessionClass(this.#em.constructor as EntityManagerClass, {
      current: () => this.current,
      tryCurrent: () => this.tryCurrent,
    });
    // A change of prototype, once per application, spares the user a line of configuration before MikroORM.init().
    Object.setPrototypeOf(this.#em, sessions.prototype as object);
    Object.assign(this.#em, { [CONTEXTUAL]: 'application' satisfies Contextual });
    const outside = config.get('context');
    config.set('context', (name) => this.tryCurrent ?? outside(name));
  }
}

/** Ends the scope when `work` has settled. The error of `work` goes before one of the end. */
async function endAfter<Result>(scope: LiveScope, work: () => Promise<Result>): Promise<Result> {
  let result: Result;
  try {
    result = await work();
  } catch (error) {
    await scope.end('threw').catch((endError: unknown) => reportEndFailure(scope, endError));
    throw error;
  }
  await scope.end('returned');
  return result;
}
