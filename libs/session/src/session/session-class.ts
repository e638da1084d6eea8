import {
  type Configuration,
  type EntityManager,
  type EventManager,
  type ForkOptions,
  type IDatabaseDriver,
  type MetadataStorage,
  type Transaction,
  TransactionContext,
  type TransactionOptions,
  ValidationError,
} from '@mikro-orm/core';

import { RECORD, type Recorded, type SessionRecord } from './session-record.js';

/** The property by which an EntityManager is told to answer with the session of the current scope. */
export const CONTEXTUAL = Symbol('contextual');

/** `session`: that of the current scope, or an error. `application`: the same, or what MikroORM itself would answer. */
export type Contextual = 'session' | 'application';

export type EntityManagerClass = new (
  config: Configuration,
  driver: IDatabaseDriver,
  metadata: MetadataStorage,
  useContext?: boolean,
  eventManager?: EventManager,
) => EntityManager;

export interface SessionLookup {
  tryCurrent(): EntityManager | undefined;
  current(): EntityManager;
}

/**
 * Extends the EntityManager class of the application, so that it and all of its forks ask one place who they are and
 * whether they may be used. Nearly every public method of MikroORM's EntityManager passes `getContext()`.
 */
export function createSessionClass(Base: EntityManagerClass, lookup: SessionLookup): EntityManagerClass {
  return class SessionEntityManager extends Base implements Recorded {
    declare [RECORD]?: SessionRecord;
    declare [CONTEXTUAL]?: Contextual;

    constructor(...args: ConstructorParameters<EntityManagerClass>) {
      super(...args);
      const [, , , useContext = true] = args;
      if (useContext) {
        this[CONTEXTUAL] = 'application';
      }
    }

    override getContext(validate = true): this {
      const record = this[RECORD];
      if (record !== undefined) {
        record.assertOpen();
        return (this === record.session ? (record.innermostTransaction ?? this) : this) as this;
      }
      const contextual = this[CONTEXTUAL];
      if (contextual === undefined) {
        return this;
      }
      if (contextual === 'session') {
        return lookup.current().getContext(validate) as this;
      }
      return (lookup.tryCurrent()?.getContext(validate) ?? ambient(this, validate)) as this;
    }

    override fork(options: ForkOptions = {}): this {
      const fork = super.fork(options);
      if (this[RECORD] !== undefined) {
        fork[RECORD] = this[RECORD];
      }
      return fork;
    }

    override async begin(options?: Omit<TransactionOptions, 'ignoreNestedTransactions'>): Promise<void> {
      await super.begin(options);
      const em = this.getContext(false);
      const transaction = em.getTransactionContext();
      if (transaction !== undefined) {
        em[RECORD]?.track(em, transaction);
      }
    }

    override setTransactionContext(transaction?: Transaction): void {
      super.setTransactionContext(transaction);
      if (transaction !== undefined) {
        this[RECORD]?.track(this, transaction);
      }
    }
  };
}

/** What MikroORM answers without sessions, but never the EntityManager of another application. */
function ambient(em: EntityManager, validate: boolean): EntityManager {
  const found: (EntityManager & Recorded) | undefined = [
    TransactionContext.getEntityManager(em.name),
    em.config.get('context')(em.name),
  ].find((candidate) => candidate?.config === em.config);
  if (found !== undefined) {
    return found[RECORD] === undefined ? found : found.getContext(validate);
  }
  if (validate && em.global && !em.config.get('allowGlobalContext')) {
    throw ValidationError.cannotUseGlobalContext();
  }
  return em;
}
