import { type EntityManager, type Transaction, type TransactionOptions, TransactionPropagation } from '@mikro-orm/core';

import { assertSavepointHas } from './assert-joinable.js';
import { ExclusiveUse } from '../ownership/exclusive-use.js';
import { failedEnd, isLost } from './joined-transactions.js';
import type { LiveScope } from '../scope/live-scope.js';
import type { OpenStreams } from './open-streams.js';
import {
  type Callback,
  type RunDetached,
  SessionCallbacks,
  type TransactionEnd,
  type TransactionOutcome,
} from './session-callbacks.js';
import { type SessionError, SessionStateError } from '../session-error.js';
import type { TransactionFrames } from './transaction-frames.js';
import { TransactionAftermath } from './transaction-aftermath.js';
import { TransactionLedger } from './transaction-ledger.js';
import type { TransactionUndo } from './transaction-undo.js';

/** The session that owns the transactions. */
export interface TransactionOwner {
  readonly scope: LiveScope;
  readonly session: EntityManager;
  readonly isOpen: boolean;
  /** Reports the error of a misuse to the observers. */
  noteMisuse(error: SessionError): void;
  /** The streams of the session. Undefined before the first one. */
  readonly streams: OpenStreams | undefined;
}

const JOINING: ReadonlySet<unknown> = new Set([
  TransactionPropagation.REQUIRED,
  TransactionPropagation.SUPPORTS,
  TransactionPropagation.MANDATORY,
]);

/**
 * Owns the transactions of one session, from begin to end. Each EntityManager of the session, which is the session
 * itself or a fork of it, has one of these states. The operations check and change the state:
 *
 * | state    | meaning                                              | left by                                     |
 * | -------- | ---------------------------------------------------- | ------------------------------------------- |
 * | idle     | no transaction                                       | `begin`, `flush`, `transactional`           |
 * | begun    | the user ends the transaction                       | `end`                                       |
 * | managed  | the block that began the transaction ends it         | the end of the block                        |
 * | flushing | a flush has begun the transaction for itself         | the end of the flush                        |
 * | failed   | begun or managed, and can only be rolled back        | a rollback                                  |
 *
 * One operation at a time changes the state of an EntityManager. The model is SQLAlchemy's SessionTransaction.
 */
export class SessionTransactions {
  readonly #owner: TransactionOwner;
  readonly #frames: TransactionFrames;
  readonly #exclusive: ExclusiveUse;
  readonly #ledger = new TransactionLedger();
  readonly #aftermath: TransactionAftermath;

  constructor(owner: TransactionOwner, frames: TransactionFrames, runDetached: RunDetached) {
    this.#owner = owner;
    this.#frames = frames;
    this.#exclusive = new ExclusiveUse(owner);
    this.#aftermath = new TransactionAftermath(
      () => !owner.isOpen,
      () => new SessionCallbacks(owner.scope, runDetached),
    );
  }

  /** Whether a transaction is open, with or without a connection. */
  get areOpen(): boolean {
    return this.#ledger.open.length > 0;
  }

  /** The number of open transactions and savepoints. */
  get depth(): number {
    return this.#ledger.depth;
  }

  /** The transactions that hold a connection now. */
  get holding(): [EntityManager, Transaction][] {
    return this.#ledger.holding;
  }

  /** Whether the transaction of an EntityManager ends with the `transactional()` call or the flush that made it. */
  hasBlock(em: EntityManager): boolean {
    const { flushing, managed } = this.#ledger;
    return flushing.has(em) || (em !== this.#owner.session && managed.has(em));
  }

  /** A promise for the end of the flush that runs on an EntityManager. Undefined where none runs. */
  flushOf(em: EntityManager): Promise<unknown> | undefined {
    return this.#exclusive.flushOf(em);
  }

  /** What a rollback of the open transaction of an EntityManager has to undo. */
  undoOf(em: EntityManager): TransactionUndo | undefined {
    return this.#aftermath.undos.of(em);
  }

  /** Remembers a transaction, to roll it back if the session ends first. */
  track(em: EntityManager, transaction: Transaction): void {
    this.#ledger.track(em, transaction);
  }

  /** Registers a callback for a commit or a rollback of the transaction of an EntityManager. */
  onEnd(em: EntityManager, end: TransactionEnd, callback: Callback): void {
    this.#aftermath.callbacks.add(em, end, callback);
  }

  onClose(callback: Callback): void {
    this.#aftermath.callbacks.addOnClose(callback);
  }

  /**
   * idle -> begun
   *
   * @throws {SessionStateError} while a transaction is open, and where the one in `ctx` has other values
   * @throws {ConcurrentSessionUseError} while another operation runs
   */
  async begin(
    em: EntityManager,
    { ctx: outer, ...wanted }: TransactionOptions,
    begin: () => Promise<void>,
  ): Promise<void> {
    const use = this.#exclusive.enter(em, 'begin');
    try {
      this.#assertIdle(em);
      if (outer !== undefined) {
        assertSavepointHas({ who: 'begin()', around: undefined }, wanted, outer);
      }
      await begin();
      if (em.isInTransaction()) {
        this.#aftermath.undos.begin(em);
      }
      const savepoint = outer === undefined ? undefined : em.getTransactionContext();
      if (savepoint !== undefined) {
        this.#ledger.joined.add(em, { savepoint, outer });
      }
    } finally {
      this.#exclusive.leave(em, use);
    }
  }

  /** begun -> managed: from now on, only the caller may end the transaction. */
  manage(em: EntityManager): void {
    this.#ledger.managed.add(em);
  }

  /** managed -> begun */
  unmanage(em: EntityManager): void {
    this.#ledger.managed.delete(em);
  }

  /**
   * idle -> flushing -> idle. In an open transaction: unchanged, or failed when the flush fails.
   *
   * @throws {ConcurrentSessionUseError} while another operation runs
   */
  async flush(em: EntityManager, flush: () => Promise<void>): Promise<void> {
    const use = this.#exclusive.enter(em, 'flush');
    try {
      await (em.isInTransaction() ? this.#flushWithin(em, flush) : this.#flushAlone(em, flush));
    } finally {
      this.#exclusive.leave(em, use);
    }
  }

  /**
   * begun -> idle. Then runs the callbacks that fit the end. A hook can throw after a commit.
   *
   * @throws {SessionStateError} while a block owns the transaction
   * @throws {ConcurrentSessionUseError} while another operation runs
   */
  async end(em: EntityManager, operation: TransactionEnd, end: () => Promise<void>): Promise<void> {
    this.#assertNotManaged(em, operation);
    if (this.#owner.streams?.isReading === true) {
      await this.#closeStreams(em, operation, this.#owner.streams);
    }
    const wasOpen = em.isInTransaction();
    const transaction: Transaction = em.getTransactionContext();
    let outcome: TransactionOutcome | undefined;
    try {
      await this.#exclusive.run(em, operation, async () => {
        if (operation === 'commit') {
          this.#ledger.assertCommittable(em);
        }
        try {
          await end();
        } catch (error) {
          outcome = wasOpen ? this.#ledger.failToEnd(em, error) : undefined;
          if (operation === 'rollback' && isLost(transaction)) {
            // The connection was lost, and the transaction with it.
            em.resetTransactionContext();
            this.#ledger.forget(em);
          }
          throw error;
        }
        this.#ledger.forget(em);
        outcome = operation;
      });
    } finally {
      if (outcome !== undefined) {
        await this.#aftermath.settle(em, outcome);
      }
    }
  }

  /** Whether a `transactional()` call runs its block in the open transaction, without a savepoint. */
  isJoining(em: EntityManager, { propagation }: TransactionOptions): boolean {
    return JOINING.has(propagation) && em.isInTransaction();
  }

  /**
   * idle -> managed -> idle. In an open transaction: makes a savepoint. The callbacks of a released savepoint wait for
   * the transaction around it.
   *
   * @throws {ConcurrentSessionUseError} while another operation runs
   */
  transactional<Em extends EntityManager, Result>(
    em: Em,
    options: TransactionOptions,
    work: (inner: Em) => Result | Promise<Result>,
    transactional: (work: (inner: Em) => Promise<Result>) => Promise<Result>,
  ): Promise<Result> {
    return this.#exclusive.run(em, 'transactional', () => this.#runBlock(em, options, work, transactional));
  }

  /** Runs the callbacks of a transaction that an EntityManager without a session began. */
  async settleCallbacks(em: EntityManager, end: TransactionOutcome): Promise<void> {
    await this.#aftermath.settleCallbacks(em, end);
  }

  /** Rolls back all open transactions, and clears their EntityManagers. */
  async rollBackAll(): Promise<void> {
    const { managers, error } = await this.#ledger.rollBack();
    for (const em of managers) {
      await this.#aftermath.settle(em, 'rollback');
    }
    if (error !== undefined) {
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#ledger.managers.forEach((em) => em.getUnitOfWork(false).clear());
    await this.#aftermath.close();
  }

  async #runBlock<Em extends EntityManager, Result>(
    em: Em,
    { propagation }: TransactionOptions,
    work: (inner: Em) => Result | Promise<Result>,
    transactional: (work: (inner: Em) => Promise<Result>) => Promise<Result>,
  ): Promise<Result> {
    const isOutermost = !em.isInTransaction() || propagation === TransactionPropagation.REQUIRES_NEW;
    const enter = this.#aftermath.undos.prepare(em);
    let inner = em;
    let result: Result;
    try {
      result = await this.#frames.run(em, (frame) =>
        transactional(async (fork) => {
          inner = fork;
          frame.em = fork;
          if (fork !== em) {
            this.manage(fork);
            if (fork.isInTransaction()) {
              enter(fork);
            }
          }
          const returned = await this.#readOut(fork, work);
          if (fork !== em) {
            this.#ledger.assertCommittable(fork);
          }
          return returned;
        }),
      );
    } catch (error) {
      this.#forget(em, inner);
      // A refused call, or a savepoint that could not be made, does not end the transaction around it.
      if (inner !== em || !em.isInTransaction()) {
        const end = inner === em ? 'rollback' : this.#ledger.failedEnd(inner);
        this.#aftermath.settleRows(inner, end);
        await this.#aftermath.settleCallbacks(this.#endedBy(em, inner), end);
      }
      throw error;
    }
    this.#forget(em, inner);
    if (isOutermost) {
      this.#aftermath.settleRows(inner, 'commit');
    }
    const ended = this.#endedBy(em, inner);
    if (isOutermost) {
      await this.#aftermath.settleCallbacks(ended, 'commit');
    } else {
      this.#aftermath.release(ended, em);
    }
    return result;
  }

  /** Runs the work of a block, and closes the half-read streams of its transaction at the end. */
  async #readOut<Em extends EntityManager, Result>(
    em: Em,
    work: (em: Em) => Result | Promise<Result>,
  ): Promise<Result> {
    let end: TransactionEnd = 'rollback';
    try {
      const result = await work(em);
      end = 'commit';
      return result;
    } finally {
      if (this.#owner.streams?.isReading === true) {
        await this.#closeStreams(em, end, this.#owner.streams);
      }
    }
  }

  /**
   * Closes the half-read streams in the transaction of an EntityManager. A commit fails then, because their readers
   * would miss rows.
   *
   * @throws {SessionStateError} before a commit, when there were half-read streams
   */
  async #closeStreams(em: EntityManager, before: TransactionEnd, streams: OpenStreams): Promise<void> {
    const transaction = this.#ledger.transactionOf(em);
    if (transaction !== undefined && (await streams.close(transaction)) && before === 'commit') {
      throw new SessionStateError(
        `The transaction of "${this.#owner.scope.label}" was to be committed while a stream of it was half read. ` +
          'Read the stream to its end first, or leave its loop with break.',
      );
    }
  }

  #forget(em: EntityManager, inner: EntityManager): void {
    if (inner !== em) {
      this.#ledger.forget(inner);
    }
  }

  /**
   * Returns the EntityManager whose callbacks run at the end of a block. With the outermost block, these are also the
   * callbacks of the savepoints within it.
   */
  #endedBy(em: EntityManager, inner: EntityManager): EntityManager {
    if (em.isInTransaction()) {
      return inner;
    }
    this.#aftermath.release(inner, em);
    return em;
  }

  async #flushWithin(em: EntityManager, flush: () => Promise<void>): Promise<void> {
    try {
      await this.#frames.runFlush(em, flush);
    } catch (error) {
      this.#ledger.fail(em, error);
      throw error;
    }
  }

  async #flushAlone(em: EntityManager, flush: () => Promise<void>): Promise<void> {
    this.#ledger.flushing.set(em, undefined);
    this.#aftermath.undos.beginFlush(em);
    try {
      await this.#frames.runFlush(em, flush);
    } catch (error) {
      await this.#settleFlush(em, 'rollback');
      throw error;
    }
    await this.#settleFlush(em, 'commit');
  }

  /**
   * Settles the end of a flush that began its own transaction. A hook can throw after the commit, and a flush may need
   * no transaction.
   */
  async #settleFlush(em: EntityManager, end: TransactionEnd): Promise<void> {
    const { flushing } = this.#ledger;
    const transaction = flushing.get(em);
    flushing.delete(em);
    if (transaction !== undefined) {
      await this.#aftermath.settle(em, end === 'commit' ? end : failedEnd(transaction));
      return;
    }
    // There was no transaction: each statement was committed by itself.
    this.#aftermath.settleRows(em, 'commit');
    if (end === 'rollback') {
      await this.#aftermath.settleCallbacks(em, end);
    }
  }

  #assertIdle(em: EntityManager): void {
    if (em.isInTransaction()) {
      throw new SessionStateError(
        `begin() was called on the session of "${this.#owner.scope.label}", which has a transaction open already. ` +
          'Use session.transactional() for a savepoint.',
      );
    }
  }

  #assertNotManaged(em: EntityManager, operation: TransactionEnd): void {
    if (this.#ledger.managed.has(em)) {
      throw new SessionStateError(
        `${operation}() was called on the session of "${this.#owner.scope.label}", whose transaction is ended by the ` +
          'block that began it. Return from the block to commit, or throw to roll back. For a part of it, use ' +
          'session.transactional().',
      );
    }
  }
}
