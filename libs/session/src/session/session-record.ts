import { type AnyEntity, type EntityManager, type Transaction, TransactionEventBroadcaster } from '@mikro-orm/core';

import { ExclusiveUse } from './exclusive-use.js';
import { isOpen, JoinedTransactions } from './joined-transactions.js';
import { makeNew } from './make-new.js';
import { OpenStreams } from './open-streams.js';
import { guardUnitOfWork } from './owned-unit-of-work.js';
import type { Recorded } from './recorded.js';
import { reportEndFailure } from './report-end-failure.js';
import { describeEnding, type LiveScope, type ScopeEnding, type ScopeMember } from './scope.js';
import { SessionClosedError, type SessionError, SessionOwnershipError, SessionStateError } from './session-error.js';
import type { SessionSurroundings } from './session-surroundings.js';
import { type Callback, type TransactionEnd, TransactionHooks } from './transaction-hooks.js';
import { assertFlushed } from './unflushed.js';

/** What is known of one session: its scope, its open transactions, whether it is closed. */
export class SessionRecord implements ScopeMember {
  readonly exclusive = new ExclusiveUse(this);
  readonly hooks = new TransactionHooks();
  /** The EntityManagers whose transaction is owned by a block, which ends it by itself. */
  readonly managed = new Set<EntityManager>();
  /** Counts the transactions begun, those of a flush too. */
  begun = 0;
  readonly #transactions = new Map<EntityManager, Transaction>();
  #joined: JoinedTransactions | undefined;
  #streams: OpenStreams | undefined;
  readonly #onClose: Callback[] = [];
  /** The flushes that failed in the open transaction of an EntityManager, the first of each. */
  readonly #failures = new WeakMap<EntityManager, { readonly error: unknown }>();
  readonly #flushing = new Set<EntityManager>();
  #ending: ScopeEnding | undefined;

  constructor(
    readonly scope: LiveScope,
    readonly session: EntityManager & Recorded,
    private readonly surroundings: SessionSurroundings,
  ) {}

  get isOpen(): boolean {
    return this.#ending === undefined;
  }

  /** What the session has in the transactions of others. */
  get joined(): JoinedTransactions {
    return (this.#joined ??= new JoinedTransactions());
  }

  get streams(): OpenStreams {
    return (this.#streams ??= new OpenStreams(() => this.assertUsable()));
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
    const { scopes, ownership } = this.surroundings;
    const user = scopes.current;
    if (user !== this.scope && !ownership.isOff && !this.scope.isUsableIn(user)) {
      ownership.report(new SessionOwnershipError(this.scope.label, user?.label));
    }
  }

  /** Makes the unit of work of this session, or of a fork of it, refuse entities of other live sessions. */
  guard(em: EntityManager): void {
    guardUnitOfWork(em, this);
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
      await (isAlone ? this.#flushAlone(em, flush) : flush());
    } catch (error) {
      if (isAlone) {
        await this.runHooks(em, 'rollback');
      } else if (!this.#failures.has(em)) {
        this.#failures.set(em, { error });
      }
      throw error;
    }
    if (isAlone && this.begun > begun) {
      await this.runHooks(em, 'commit');
    }
  }

  async #flushAlone(em: EntityManager, flush: () => Promise<void>): Promise<void> {
    this.#flushing.add(em);
    try {
      await this.surroundings.frames.runFlush(em, flush);
    } finally {
      this.#flushing.delete(em);
    }
  }

  /** Tells whether the transaction of an EntityManager ends with the `transactional()` call or the flush that made it. */
  hasBlock(em: EntityManager): boolean {
    return this.#flushing.has(em) || (em !== this.session && this.managed.has(em));
  }

  claim(entity: AnyEntity, operation: string): void {
    if (!this.surroundings.ownership.isOff) {
      this.surroundings.claims.claim(entity, this, operation);
    }
  }

  /** Undoes with the transaction what an EntityManager of this session remembers of a row it has inserted. */
  inserted(em: EntityManager, entity: AnyEntity): void {
    this.hooks.add(em, 'rollback', () => makeNew(entity, [em, this.session]));
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

  /** Forgets the savepoint of an EntityManager. Kysely tells the end of a transaction, but not that of a savepoint. */
  forget(em: EntityManager): void {
    const transaction = this.#transactions.get(em);
    if (transaction !== undefined && isSavepoint(transaction)) {
      this.#transactions.delete(em);
    }
    this.#failures.delete(em);
    this.#joined?.forget(em);
    this.managed.delete(em);
  }

  /** @throws the error of a flush that failed in the open transaction, whose commit would lose what was not written */
  assertCommittable(em: EntityManager): void {
    const failure = this.#failures.get(em);
    if (failure !== undefined) {
      throw failure.error;
    }
  }

  /** Lets a transaction that ended with its failed commit be nothing but rolled back. */
  async afterFailedCommit(em: EntityManager, error: unknown): Promise<void> {
    const transaction = this.#transactions.get(em);
    if (transaction !== undefined && !isOpen(transaction)) {
      this.#failures.set(em, { error });
      await this.runHooks(em, 'rollback');
    }
  }

  /** @throws {SessionStateError} while a block owns the transaction */
  assertNotManaged(em: EntityManager, operation: string): void {
    if (this.managed.has(em)) {
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
      await this.#streams?.close();
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
    const managers = [...(this.#joined?.managers ?? []), ...open.map(([em]) => em)];
    const [joined] = await Promise.allSettled([this.#joined?.rollBack()]);
    const own = await Promise.allSettled(open.map(([em, transaction]) => rollBack(em, transaction)));
    for (const em of managers) {
      await this.runHooks(em, 'rollback');
    }
    const failed = [joined, ...own].find((result) => result.status === 'rejected');
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

/** Rolls back even when a subscriber to the rollback throws, whose error it throws then. */
async function rollBack(em: EntityManager, transaction: Transaction): Promise<void> {
  const connection = em.getConnection('write');
  try {
    await connection.rollback(transaction, new TransactionEventBroadcaster(em));
  } catch (error) {
    if (isOpen(transaction)) {
      await connection.rollback(transaction).catch(() => undefined);
    }
    throw error;
  }
}

function isSavepoint(transaction: Transaction): boolean {
  return 'savepointName' in (transaction as object);
}
