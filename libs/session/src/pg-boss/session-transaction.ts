import type { EntityManager } from '@mikro-orm/core';
import type { Db } from 'pg-boss';

import { inTransactionOf } from './open-transaction.js';

type TransactionHandle = Awaited<ReturnType<NonNullable<Db['beginTransaction']>>>;

type Decision = 'commit' | 'rollback';

/**
 * A transaction as pg-boss asks for one around a handler, which the session of the handler lends it: what the handler
 * wrote is committed with the completion of its job, by pg-boss. Where nobody lends one, it is one of pg-boss's own.
 */
export class SessionTransaction implements TransactionHandle, Db {
  readonly #begin: () => Promise<TransactionHandle>;
  readonly #lent = Promise.withResolvers<void>();
  readonly #decided = Promise.withResolvers<Decision>();
  #session: Db | undefined;
  #ended: Promise<void> | undefined;
  #own: Promise<TransactionHandle> | undefined;

  constructor(begin: () => Promise<TransactionHandle>) {
    this.#begin = begin;
  }

  /** Puts them in the place of those that pg-boss makes itself. */
  static install(db: Db): void {
    const begin = db.beginTransaction?.bind(db) ?? refuse;
    Object.assign(db, { beginTransaction: () => Promise.resolve(new SessionTransaction(begin)) });
  }

  get db(): Db {
    return this;
  }

  async executeSql(text: string, values?: unknown[]): ReturnType<Db['executeSql']> {
    const db = this.#session ?? (await (this.#own ??= this.#begin())).db;
    return db.executeSql(text, values);
  }

  /**
   * Waits until `work` lends its transaction, or has ended without.
   *
   * @param work ends after the decision, and throws what it failed with
   */
  async lentBy(work: Promise<void>): Promise<void> {
    this.#ended = work;
    // It is awaited here, or at the decision.
    work.catch(() => undefined);
    await Promise.race([this.#lent.promise, work]);
  }

  /** Lends the open transaction of a session, and waits until pg-boss has decided what becomes of it. */
  lend(session: EntityManager): Promise<Decision> {
    this.#session = inTransactionOf(session);
    this.#lent.resolve();
    return this.#decided.promise;
  }

  /** @throws what the commit failed with */
  async commit(): Promise<void> {
    this.#decided.resolve('commit');
    await this.#ended;
    await (await this.#own)?.commit();
  }

  async rollback(): Promise<void> {
    this.#decided.resolve('rollback');
    await this.#ended?.catch(() => undefined);
    await (await this.#own)?.rollback();
  }
}

function refuse(): Promise<never> {
  return Promise.reject(new Error('The `db` that pg-boss was given makes no transactions.'));
}
