import type { EntityManager, Transaction } from '@mikro-orm/core';

import { ExclusiveUse } from './exclusive-use.js';
import { HandedOut } from './handed-out/handed-out.js';
import type { Owner } from './handed-out/owner.js';
import { OpenStreams } from './open-streams.js';
import { guardUnitOfWork } from './owned-unit-of-work.js';
import type { Recorded } from './recorded.js';
import type { Enrolled } from './roster.js';
import { describeEnding, isCutShort, type ScopeEnding } from './scope-ending.js';
import type { LiveScope, ScopeMember } from './live-scope.js';
import { SessionCallbacks, type TransactionEnd, type TransactionOutcome } from './session-callbacks.js';
import { SessionClosedError, type SessionError, SessionOwnershipError, SessionStateError } from './session-error.js';
import type { SessionSurroundings } from './session-surroundings.js';
import type { BlockFrame } from './transaction-frames.js';
import { TransactionLedger } from './transaction-ledger.js';
import { TransactionUndos } from './transaction-undos.js';
import { assertFlushed } from './unflushed.js';

/** What is known of one session. Its parts are made on first use: most sessions need few of them. */
export class SessionRecord implements ScopeMember, Enrolled<SessionRecord>, Owner {
  before: SessionRecord | undefined;
  after: SessionRecord | undefined;
  #exclusive: ExclusiveUse | undefined;
  #ledger: TransactionLedger | undefined;
  #callbacks: SessionCallbacks | undefined;
  #undos: TransactionUndos | undefined;
  #streams: OpenStreams | undefined;
  #handedOut: HandedOut | undefined;
  #isGuarded = false;
  #isCompiling = false;
  #ending: ScopeEnding | undefined;

  constructor(
    readonly scope: LiveScope,
    readonly session: EntityManager & Recorded,
    private readonly surroundings: SessionSurroundings,
  ) {}

  get isOpen(): boolean {
    return this.#ending === undefined;
  }

  get exclusive(): ExclusiveUse {
    return (this.#exclusive ??= new ExclusiveUse(this));
  }

  get ledger(): TransactionLedger {
    return (this.#ledger ??= new TransactionLedger());
  }

  get callbacks(): SessionCallbacks {
    return (this.#callbacks ??= new SessionCallbacks(this.scope, this.surroundings.runDetached));
  }

  /** Tells whether it holds a connection now, or may with the next statement of a transaction or when its stream is read on. */
  get isHolder(): boolean {
    return this.isReading || (this.#ledger?.open.length ?? 0) > 0;
  }

  /** How many half-read streams hold a connection of their own. */
  get pausedStreams(): number {
    return this.#streams?.paused.length ?? 0;
  }

  /** The transactions that hold a connection now. */
  get openTransactions(): [EntityManager, Transaction][] {
    return this.#ledger?.holding ?? [];
  }

  get heldConnections(): number {
    return this.openTransactions.length;
  }

  get heldIdleFor(): number {
    return this.openTransactions.length === 0 ? 0 : this.surroundings.connections.heldIdleFor(this.scope);
  }

  /** Gives the innermost transaction of this session in whose callback the running code is. */
  get innermostTransaction(): EntityManager | undefined {
    return this.surroundings.frames.innermost(this);
  }

  /**
   * Called before every use.
   *
   * @throws {SessionClosedError} after the end of the session
   * @throws {SessionOwnershipError} in another task
   */
  assertUsable(): void {
    if (this.#isCompiling) {
      return;
    }
    this.#assertOpen();
    const { scopes, ownership } = this.surroundings;
    const user = scopes.current;
    if (user !== this.scope && !ownership.isOff && !this.scope.isUsableIn(user)) {
      ownership.report(new SessionOwnershipError(this.scope.label, user));
    }
    if (!this.#isGuarded) {
      this.#isGuarded = true;
      this.guard(this.session);
    }
  }

  /** Makes the unit of work of this session, or of a fork of it, refuse entities of other live sessions. */
  guard(em: EntityManager): void {
    guardUnitOfWork(em, this);
  }

  get checksOwnership(): boolean {
    return !this.surroundings.ownership.isOff;
  }

  refuse(error: SessionError): void {
    this.surroundings.ownership.report(error);
  }

  /** What to undo of open transactions, once there was one. */
  get undos(): TransactionUndos | undefined {
    return this.#undos;
  }

  /** The same, made on first use. */
  get transactionUndos(): TransactionUndos {
    return (this.#undos ??= new TransactionUndos());
  }

  /**
   * Takes note of a transaction that has just begun.
   *
   * @throws {SessionClosedError} when the session has ended meanwhile
   */
  begun(em: EntityManager, transaction: Transaction): void {
    this.#assertOpen();
    this.track(em, transaction);
  }

  /** Remembers a transaction, to roll it back should the session end first. */
  track(em: EntityManager, transaction: Transaction): void {
    this.ledger.track(em, transaction);
    if (this.isOpen) {
      this.surroundings.holders.add(this);
    }
  }

  /** What it hands out, which is checked when it is executed. */
  get handedOut(): HandedOut {
    return (this.#handedOut ??= new HandedOut(this));
  }

  compile<Text>(work: () => Text): Text {
    const before = this.#isCompiling;
    this.#isCompiling = true;
    try {
      return work();
    } finally {
      this.#isCompiling = before;
    }
  }

  /** Reads a stream, which is closed should the session end first, or the transaction that it is of. */
  read<Item>(stream: AsyncIterator<Item>, transaction: unknown): AsyncGenerator<Item, void> {
    this.#streams ??= new OpenStreams(
      () => this.assertUsable(),
      () => this.surroundings.holders.add(this),
    );
    return this.#streams.read(stream, transaction);
  }

  get isReading(): boolean {
    return this.#streams?.isReading === true;
  }

  /**
   * Closes the streams that are half read in the transaction of an EntityManager. A commit fails then, for their readers
   * would miss rows.
   *
   * @throws {SessionStateError} before a commit, when there were any
   */
  async closeStreams(em: EntityManager, before: TransactionEnd): Promise<void> {
    const transaction = this.ledger.transactionOf(em);
    if (transaction !== undefined && (await this.#streams?.close(transaction)) === true && before === 'commit') {
      throw new SessionStateError(
        `The transaction of "${this.scope.label}" was to be committed while a stream of it was half read. ` +
          'Read the stream to its end before, or leave its loop with break.',
      );
    }
  }

  /** Runs a `transactional()` call, in which this session stands for the transaction that its frame is told of. */
  enter<Result>(em: EntityManager, work: (frame: BlockFrame) => Result): Result {
    return this.surroundings.frames.run(em, work);
  }

  /** Runs a flush, which what runs in it can be told to be part of. */
  enterFlush<Result>(em: EntityManager, work: () => Result): Result {
    return this.surroundings.frames.runFlush(em, work);
  }

  /** Tells whether the running code is part of a flush, as a subscriber is. */
  isInFlushOf(em: EntityManager): boolean {
    return this.surroundings.frames.isInFlushOf(em);
  }

  /** Tells whether the transaction of an EntityManager ends with the `transactional()` call or the flush that made it. */
  hasBlock(em: EntityManager): boolean {
    const { flushing, managed } = this.ledger;
    return flushing.has(em) || (em !== this.session && managed.has(em));
  }

  /** @throws {SessionStateError} while a transaction is open */
  assertIdle(em: EntityManager): void {
    if (em.isInTransaction()) {
      throw new SessionStateError(
        `begin() was called on the session of "${this.scope.label}", which has a transaction open already. ` +
          'Use session.transactional() for a savepoint.',
      );
    }
  }

  /** @throws {SessionStateError} while a block owns the transaction */
  assertNotManaged(em: EntityManager, operation: string): void {
    if (this.#ledger?.managed.has(em) === true) {
      throw new SessionStateError(
        `${operation}() was called on the session of "${this.scope.label}", whose transaction is ended by the block ` +
          'that began it: return to commit, throw to roll back. For a part of it use session.transactional().',
      );
    }
  }

  /** Takes note of how the transaction of an EntityManager ended, and runs the callbacks that wait for that. */
  async settle(em: EntityManager, end: TransactionOutcome): Promise<void> {
    this.settleRows(em, end);
    await this.settleCallbacks(em, end);
  }

  settleRows(em: EntityManager, end: TransactionOutcome): void {
    this.#undos?.settle(em, end, !this.isOpen);
  }

  async settleCallbacks(em: EntityManager, end: TransactionOutcome): Promise<void> {
    await this.#callbacks?.settle(em, end);
  }

  /** Leaves what waits for the end of a savepoint to the transaction around it. */
  release(savepoint: EntityManager, around: EntityManager): void {
    if (savepoint !== around) {
      this.#undos?.release(savepoint, around);
      this.#callbacks?.move(savepoint, around);
    }
  }

  /** Ends the connections that it holds, whatever they are at. */
  dropConnections(): void {
    this.surroundings.connections.abandon(this.scope);
  }

  /** Ends the waits for answers that the network has lost. */
  endForgotten(): void {
    this.surroundings.connections.endForgottenSoon(this.scope);
  }

  async close(ending: ScopeEnding): Promise<void> {
    if (this.#ending !== undefined) {
      return;
    }
    const complaint = this.#findUnflushed(ending);
    this.#ending = ending;
    this.surroundings.holders.delete(this);
    this.surroundings.leaks.forget(this);
    this.surroundings.connections.leave(
      this.scope,
      () => new SessionClosedError(this.scope.label, describeEnding(ending)),
    );
    if (isCutShort(ending)) {
      this.surroundings.connections.abandonSoon(this.scope);
    }
    try {
      await this.#streams?.close();
      await this.#rollBack();
    } finally {
      this.session.getUnitOfWork(false).clear();
      this.#ledger?.managers.forEach((em) => em.getUnitOfWork(false).clear());
      await this.#callbacks?.close();
    }
    if (complaint !== undefined) {
      throw complaint;
    }
  }

  #assertOpen(): void {
    if (this.#ending !== undefined) {
      throw new SessionClosedError(this.scope.label, describeEnding(this.#ending));
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

  async #rollBack(): Promise<void> {
    if (this.#ledger === undefined) {
      return;
    }
    const { managers, error } = await this.#ledger.rollBack();
    for (const em of managers) {
      await this.settle(em, 'rollback');
    }
    if (error !== undefined) {
      throw error;
    }
  }
}
