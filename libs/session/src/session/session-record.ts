import { type AnyEntity, type EntityManager, type Transaction, TransactionEventBroadcaster } from '@mikro-orm/core';

import { ExclusiveUse } from './exclusive-use.js';
import { guardUnitOfWork } from './owned-unit-of-work.js';
import type { Recorded } from './recorded.js';
import { reportEndFailure } from './report-end-failure.js';
import { describeEnding, type LiveScope, type ScopeEnding, type ScopeMember } from './scope.js';
import { SessionClosedError, type SessionError, SessionOwnershipError, SessionStateError } from './session-error.js';
import type { SessionSurroundings } from './session-surroundings.js';
import { type Callback, type TransactionEnd, TransactionHooks } from './transaction-hooks.js';
import { assertFlushed } from './unflushed.js';

interface ControlledTransaction {
  readonly isCommitted: boolean;
  readonly isRolledBack: boolean;
}

/** What is known of one session: its scope, its open transactions, whether it is closed. */
export class SessionRecord implements ScopeMember {
  readonly exclusive = new ExclusiveUse(this);
  readonly hooks = new TransactionHooks();
  /** True while a block owns the transaction and ends it by itself. */
  isManaged = false;
  /** Counts the transactions begun, those of a flush too. */
  begun = 0;
  readonly #transactions = new Map<EntityManager, Transaction>();
  readonly #onClose: Callback[] = [];
  #failure: { readonly error: unknown } | undefined;
  #ending: ScopeEnding | undefined;

  constructor(
    readonly scope: LiveScope,
    readonly session: EntityManager & Recorded,
    private readonly surroundings: SessionSurroundings,
  ) {}

  get isOpen(): boolean {
    return this.#ending === undefined;
  }

  /** The transactions that hold a connection now. A savepoint holds none of its own. */
  get openTransactions(): [EntityManager, Transaction][] {
    return [...this.#transactions].filter(([, transaction]) => isOpen(transaction) && !isSavepoint(transaction));
  }

  get heldConnections(): number {
    return this.openTransactions.length;
  }

  /** Gives the innermost transaction of this session in whose callback the running code is. */
  get innermostTransaction(): EntityManager | undefined {
    return this.surroundings.frames.innermost(this);
  }

  /**
   * @throws {SessionClosedError} after the end of the session
   * @throws {SessionOwnershipError} in another task
   */
  assertUsable(): void {
    if (this.#ending !== undefined) {
      throw new SessionClosedError(this.scope.label, describeEnding(this.#ending));
    }
    const { storage, ownership } = this.surroundings;
    const user = storage.current;
    if (user !== this.scope && !ownership.isOff && !this.scope.isUsableIn(user)) {
      ownership.report(new SessionOwnershipError(this.scope.label, user?.label));
    }
  }

  /** Makes the unit of work of this session, or of a fork of it, refuse entities of other live sessions. */
  guard(em: EntityManager): void {
    if (!this.surroundings.ownership.isOff) {
      guardUnitOfWork(em, this);
    }
  }

  /** Runs the callback of a transaction, in which this session stands for that transaction. */
  enter<Result>(transaction: EntityManager, work: () => Result): Result {
    return this.surroundings.frames.run(transaction, work);
  }

  /** Runs the flush of an EntityManager of this session, and the callbacks of a transaction that was for it alone. */
  async flush(em: EntityManager, flush: () => Promise<void>): Promise<void> {
    const { begun } = this;
    const isAlone = !em.isInTransaction();
    try {
      await flush();
    } catch (error) {
      if (isAlone) {
        await this.runHooks(em, 'rollback');
      } else if (em === this.session) {
        this.#failure ??= { error };
      }
      throw error;
    }
    if (isAlone && this.begun > begun) {
      await this.runHooks(em, 'commit');
    }
  }

  claim(entity: AnyEntity, operation: string): void {
    this.surroundings.claims.claim(entity, this, operation);
  }

  refuse(error: SessionError): void {
    this.surroundings.ownership.report(error);
  }

  /** Remembers a transaction, to roll it back should the session end first. */
  track(em: EntityManager, transaction: Transaction): void {
    for (const [known, open] of this.#transactions) {
      if (!isOpen(open)) {
        this.#transactions.delete(known);
      }
    }
    this.#transactions.set(em, transaction);
    this.begun += 1;
    this.surroundings.transactions.add(this);
  }

  /** @throws the error of a flush that failed in the open transaction, whose commit would lose what was not written */
  assertCommittable(): void {
    if (this.#failure !== undefined) {
      throw this.#failure.error;
    }
  }

  forgiveFailure(): void {
    this.#failure = undefined;
  }

  /** @throws {SessionStateError} while a block owns the transaction */
  assertNotManaged(operation: string): void {
    if (this.isManaged) {
      throw new SessionStateError(
        `${operation}() was called on the session of "${this.scope.label}", whose transaction is ended by the block ` +
          'that began it: return to commit, throw to roll back. For a part of it use session.transactional().',
      );
    }
  }

  async runHooks(em: EntityManager, end: TransactionEnd): Promise<void> {
    await this.#runAll(this.hooks.take(em, end), end === 'commit' ? 'afterCommit' : 'afterRollback');
  }

  onClose(callback: Callback): void {
    this.#onClose.push(callback);
  }

  async close(ending: ScopeEnding): Promise<void> {
    if (this.#ending !== undefined) {
      return;
    }
    const complaint = this.#findUnflushed(ending);
    const open = this.openTransactions;
    this.#ending = ending;
    this.surroundings.transactions.delete(this);
    this.surroundings.leaks.forget(this);
    try {
      await this.#rollBack(open);
    } finally {
      for (const em of [this.session, ...this.#transactions.keys()]) {
        em.getUnitOfWork(false).clear();
      }
      this.#transactions.clear();
      await this.#runAll(this.#onClose, 'onClose');
    }
    if (complaint !== undefined) {
      throw complaint;
    }
  }

  #findUnflushed(ending: ScopeEnding): unknown {
    try {
      assertFlushed(this, ending, this.surroundings.unflushed);
      return undefined;
    } catch (error) {
      return error;
    }
  }

  async #rollBack(open: [EntityManager, Transaction][]): Promise<void> {
    const connection = this.session.getConnection('write');
    const results = await Promise.allSettled(
      open.map(([em, transaction]) => connection.rollback(transaction, new TransactionEventBroadcaster(em))),
    );
    for (const [em] of open) {
      await this.runHooks(em, 'rollback');
    }
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) {
      throw failed.reason;
    }
  }

  /** Runs callbacks in scopes of their own. One that throws is reported, and stops neither the next nor the caller. */
  async #runAll(callbacks: readonly Callback[], label: string): Promise<void> {
    for (const callback of callbacks) {
      await this.surroundings
        .runDetached(`${label} of ${this.scope.label}`, callback)
        .catch((error: unknown) => reportEndFailure(this.scope, error));
    }
  }
}

function isOpen(transaction: Transaction): boolean {
  const { isCommitted, isRolledBack } = transaction as ControlledTransaction;
  return !isCommitted && !isRolledBack;
}

function isSavepoint(transaction: Transaction): boolean {
  return 'savepointName' in (transaction as object);
}
