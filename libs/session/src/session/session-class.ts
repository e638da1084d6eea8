import {
  type Configuration,
  type EntityManager,
  type EntityName,
  type EventManager,
  type ForkOptions,
  type IDatabaseDriver,
  type MetadataStorage,
  type Transaction,
  type TransactionOptions,
} from '@mikro-orm/core';

import { findAmbient } from './ambient.js';
import { RECORD, type Recorded } from './recorded.js';
import { SessionStateError } from './session-error.js';
import type { SessionRecord } from './session-record.js';
import { inTransaction, isJoining } from './session-transaction.js';

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

    override getContext(validate = true): this {
      const record = this[RECORD];
      if (record !== undefined) {
        record.assertUsable();
        return (this === record.session ? (record.innermostTransaction ?? this) : this) as this;
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
      const record = this[RECORD];
      // What follows the context needs no session to be made for it: the middleware of @mikro-orm/nestjs forks so.
      const isFollower = record === undefined && options.useContext === true;
      const fork = super.fork(isFollower ? { ...options, disableContextResolution: true } : options);
      if (record !== undefined) {
        fork[RECORD] = record;
        record.guard(fork);
      } else if (options.useContext === true) {
        fork[CONTEXTUAL] = 'application';
      }
      return fork;
    }

    override async flush(): Promise<void> {
      const em = this.getContext();
      const record = em[RECORD];
      if (em !== this || record === undefined) {
        return em === this ? super.flush() : em.flush();
      }
      return record.exclusive.run(em, 'flush', () => record.flush(em, () => super.flush()));
    }

    /** Lets overlapping reads that each want a flush before them wait for the first one's. */
    override async tryFlush<Entity extends object>(
      entityName: EntityName<Entity>,
      options: Parameters<EntityManager['tryFlush']>[1],
    ): Promise<void> {
      const em = this.getContext();
      const meta = em.getMetadata().get(entityName);
      let running = em[RECORD]?.exclusive.flushOf(em);
      while (running !== undefined && em.getUnitOfWork().shouldAutoFlush(meta)) {
        await running;
        running = em[RECORD]?.exclusive.flushOf(em);
      }
      return super.tryFlush(entityName, options);
    }

    /** Lets no half-read stream outlive the session: its cursor would keep a connection, and block a rollback on it. */
    override async *stream<Entity extends object>(
      entityName: EntityName<Entity>,
      options?: object,
    ): AsyncGenerator<never, void> {
      const em = this.getContext();
      const record = em[RECORD];
      if (em !== this || record === undefined) {
        yield* (
          em === this ? super.stream(entityName, options) : em.stream(entityName, options)
        ) as AsyncIterable<never>;
        return;
      }
      yield* record.streams.read(super.stream(entityName, options) as AsyncIterator<never>);
    }

    override async transactional<Result>(
      work: (em: this) => Result | Promise<Result>,
      options: TransactionOptions = {},
    ): Promise<Result> {
      const em = this.getContext(false);
      const record = em[RECORD];
      if (em !== this || record === undefined) {
        return em === this ? super.transactional(work, options) : em.transactional(work, options);
      }
      if (isJoining(em, options)) {
        return super.transactional(work, options);
      }
      return record.exclusive.run(em, 'transactional', () =>
        inTransaction(record, em, options, work, (inner) => super.transactional(inner, options)),
      );
    }

    override async begin(options: Omit<TransactionOptions, 'ignoreNestedTransactions'> = {}): Promise<void> {
      const em = this.getContext(false);
      const record = em[RECORD];
      if (em !== this || record === undefined) {
        return em === this ? super.begin(options) : em.begin(options);
      }
      return record.exclusive.run(em, 'begin', async () => {
        if (em.isInTransaction()) {
          throw new SessionStateError(
            `begin() was called on the session of "${record.scope.label}", which has a transaction open already. ` +
              'Use session.transactional() for a savepoint.',
          );
        }
        await super.begin(options);
        if (!record.isOpen) {
          // The session ended while this waited for a connection, which has to go back.
          await super.fork({ keepTransactionContext: true, disableContextResolution: true }).rollback();
        }
        const transaction = em.getTransactionContext();
        if (transaction !== undefined) {
          record.track(em, transaction);
        }
        if (transaction !== undefined && options.ctx !== undefined) {
          record.ledger.joined.add(em, { savepoint: transaction, outer: options.ctx });
        }
      });
    }

    override async commit(): Promise<void> {
      const em = this.getContext(false);
      const record = em[RECORD];
      if (em !== this || record === undefined) {
        return em === this ? super.commit() : em.commit();
      }
      record.assertNotManaged(em, 'commit');
      try {
        await record.exclusive.run(em, 'commit', async () => {
          record.ledger.assertCommittable(em);
          await super.commit();
          record.ledger.forget(em);
        });
      } catch (error) {
        if (record.ledger.failCommit(em, error)) {
          await record.settle(em, 'rollback');
        }
        throw error;
      }
      await record.settle(em, 'commit');
    }

    override async rollback(): Promise<void> {
      const em = this.getContext(false);
      const record = em[RECORD];
      if (em !== this || record === undefined) {
        return em === this ? super.rollback() : em.rollback();
      }
      record.assertNotManaged(em, 'rollback');
      await record.exclusive.run(em, 'rollback', () => super.rollback());
      record.ledger.forget(em);
      await record.settle(em, 'rollback');
    }

    override setTransactionContext(transaction?: Transaction): void {
      super.setTransactionContext(transaction);
      if (transaction !== undefined) {
        this[RECORD]?.track(this, transaction);
      }
    }
  };
}
