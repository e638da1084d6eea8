import type { EntityManager, Transaction } from '@mikro-orm/core';

import { HandedOut } from './ownership/handed-out/handed-out.js';
import type { Owner } from './ownership/handed-out/owner.js';
import { OpenStreams } from './transaction/open-streams.js';
import { guardUnitOfWork } from './ownership/guard-unit-of-work.js';
import type { KnownSession, WithState } from './known-session.js';
import type { ConnectionHolder } from './pool/connection-holder.js';
import { describeEnding, isCutShort, type ScopeEnding } from './scope/scope-ending.js';
import type { LiveScope, ScopeMember } from './scope/live-scope.js';
import { SessionClosedError, type SessionError } from './session-error.js';
import type { SessionFacts } from './session-facts.js';
import type { ConnectionServices } from './connection-services.js';
import { SessionTransactions, type TransactionOwner } from './transaction/session-transactions.js';
import { assertFlushed } from './ownership/unflushed.js';
import { findUserFrame } from './find-user-frame.js';

/** The state of one session. Its parts are made on first use: most sessions need few of them. */
export class SessionState implements ScopeMember, ConnectionHolder, KnownSession, Owner, TransactionOwner {
  before: ConnectionHolder | undefined;
  after: ConnectionHolder | undefined;
  #transactions: SessionTransactions | undefined;
  #streams: OpenStreams | undefined;
  #handedOut: HandedOut | undefined;
  /** Ends the waits that end with the session. */
  #waits: Set<(reason: Error) => void> | undefined;
  #isGuarded = false;
  #isCompiling = false;
  #ending: ScopeEnding | undefined;

  constructor(
    readonly scope: LiveScope,
    readonly session: EntityManager & WithState,
    private readonly services: ConnectionServices,
  ) {}

  get isOpen(): boolean {
    return this.#ending === undefined;
  }

  get transactions(): SessionTransactions {
    const { frames, runDetached } = this.services;
    return (this.#transactions ??= new SessionTransactions(this, frames, runDetached));
  }

  /** The transactions. Undefined before their first use. */
  get knownTransactions(): SessionTransactions | undefined {
    return this.#transactions;
  }

  /**
   * Whether the session holds a connection now, or may take one with the next statement of a transaction or the next
   * read of a stream.
   */
  get isHolder(): boolean {
    return this.#streams?.isReading === true || this.#transactions?.areOpen === true;
  }

  /** The number of half-read streams that hold a connection of their own. */
  get pausedStreams(): number {
    return this.#streams?.paused.length ?? 0;
  }

  /** The transactions that hold a connection now. */
  get openTransactions(): [EntityManager, Transaction][] {
    return this.#transactions?.holding ?? [];
  }

  hasBlock(em: EntityManager): boolean {
    return this.#transactions?.hasBlock(em) === true;
  }

  get heldConnections(): number {
    return this.openTransactions.length;
  }

  get heldIdleFor(): number {
    return this.openTransactions.length === 0 ? 0 : this.services.connections.heldIdleFor(this.scope);
  }

  get facts(): SessionFacts {
    const unitOfWork = this.session.getUnitOfWork(false);
    return {
      connection: this.session.name,
      entities: unitOfWork.getIdentityMap().values().length,
      unflushed: unitOfWork.getPersistStack().size + unitOfWork.getRemoveStack().size,
      depth: this.#transactions?.depth ?? 0,
      place: findUserFrame(this.services.leaks.stackOf(this)),
    };
  }

  /** Returns the innermost transaction of this session in whose callback the running code is. */
  get innermostTransaction(): EntityManager | undefined {
    return this.services.frames.innermost(this);
  }

  /**
   * Called before every use of the session.
   *
   * @throws {SessionClosedError} after the end of the session
   * @throws {SessionOwnershipError} in another task
   */
  assertUsable(): void {
    if (this.#isCompiling) {
      return;
    }
    this.#assertOpen();
    const { scopes, ownership } = this.services;
    ownership.assertOwner(scopes.current, this.scope);
    if (!this.#isGuarded) {
      this.#isGuarded = true;
      this.guard(this.session);
    }
  }

  /** Makes the unit of work of this session, or of a fork of it, refuse entities of other live sessions. */
  guard(em: EntityManager): void {
    guardUnitOfWork(em, this);
  }

  /** Reports the error of a misuse to the observers. */
  noteMisuse({ code, message }: SessionError): void {
    this.services.onMisuse({ code, message, scope: this.scope.label });
  }

  get checksOwnership(): boolean {
    return !this.services.ownership.isOff;
  }

  refuse(error: SessionError): void {
    this.services.ownership.report(error, this.scope.label);
  }

  /**
   * Notes a transaction that has just begun.
   *
   * @throws {SessionClosedError} when the session has ended in the meantime
   */
  begun(em: EntityManager, transaction: Transaction): void {
    this.#assertOpen();
    this.track(em, transaction);
  }

  /** Remembers a transaction, to roll it back if the session ends first. */
  track(em: EntityManager, transaction: Transaction): void {
    this.transactions.track(em, transaction);
    if (this.isOpen) {
      this.services.holders.add(this);
    }
  }

  /** The query builders and Kysely instances that the session hands out. They are checked when they are executed. */
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

  whileOpen<Result>(work: Promise<Result>): Promise<Result> {
    this.#assertOpen();
    const waits = (this.#waits ??= new Set());
    return new Promise((resolve, reject) => {
      const leave = (error: unknown): void => {
        waits.delete(leave);
        reject(error);
      };
      waits.add(leave);
      work.then((result) => {
        waits.delete(leave);
        resolve(result);
      }, leave);
    });
  }

  /** Reads a stream. The stream is closed when the session, or the transaction of the stream, ends first. */
  read<Item>(stream: AsyncIterator<Item>, transaction: unknown): AsyncGenerator<Item, void> {
    this.#streams ??= new OpenStreams(
      () => this.assertUsable(),
      () => this.services.holders.add(this),
    );
    return this.#streams.read(stream, transaction);
  }

  get streams(): OpenStreams | undefined {
    return this.#streams;
  }

  /** Whether the running code is part of a flush, as a subscriber is. */
  isInFlushOf(em: EntityManager): boolean {
    return this.services.frames.isInFlushOf(em);
  }

  /** Ends the connections that the session holds, whatever they are doing. */
  dropConnections(): void {
    this.services.connections.abandon(this.scope);
  }

  /** Ends the waits of the session for answers that the network has lost. */
  endForgotten(): void {
    this.services.connections.endForgottenSoon(this.scope);
  }

  async close(ending: ScopeEnding): Promise<void> {
    if (this.#ending !== undefined) {
      return;
    }
    const complaint = this.#findUnflushed(ending);
    this.#ending = ending;
    this.services.holders.delete(this);
    this.services.leaks.forget(this);
    const makeReason = reasonOf(this.scope, ending);
    this.#waits?.forEach((leave) => leave(makeReason()));
    this.services.connections.leave(this.scope, makeReason);
    // The scope of a removed session goes on, with another session.
    if (ending !== 'removed') {
      this.services.connections.leaveSoon(this.scope, makeReason);
    }
    if (isCutShort(ending)) {
      this.services.connections.abandonSoon(this.scope);
    }
    try {
      await this.#streams?.close();
      await this.#transactions?.rollBackAll();
    } finally {
      this.session.getUnitOfWork(false).clear();
      await this.#transactions?.close();
    }
    if (complaint !== undefined) {
      throw complaint;
    }
  }

  #assertOpen(): void {
    if (this.#ending !== undefined) {
      const error = new SessionClosedError(this.scope.label, describeEnding(this.#ending));
      this.noteMisuse(error);
      throw error;
    }
  }

  #findUnflushed(ending: ScopeEnding): unknown {
    try {
      assertFlushed(this, ending, this.services);
      return undefined;
    } catch (error) {
      return error;
    }
  }
}

/** Does not keep the session, which the scope would keep with it. */
function reasonOf(scope: LiveScope, ending: ScopeEnding): () => Error {
  return () => new SessionClosedError(scope.label, describeEnding(ending));
}
