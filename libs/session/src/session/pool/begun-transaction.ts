import type { Transaction } from '@mikro-orm/core';

import { SessionStateError } from '../session-error.js';
import type { ConnectionLoss } from './connection-loss.js';
import type { SetUp } from './set-up-hooks.js';
import type { SqlLexis } from './sql-statements.js';
import { findTransactionControl } from './transaction-control.js';
import { unlessInTime } from './unless-in-time.js';

/** The owner of a transaction: a scope, or an EntityManager outside of scopes. */
export interface LeaseOwner {
  readonly label: string;
  /** Its last session that ended, for waits that begin in the same turn of the event loop. */
  left?: LeftSession | undefined;
}

/** The end of a session. */
export interface LeftSession {
  /** The turn of the event loop in which it ended. Each connection of MikroORM has turns of its own. */
  readonly turn: object;
  readonly makeReason: () => Error;
  /** The session of the same scope that ended before. */
  readonly before: LeftSession | undefined;
}

/** The members of the connection of a transaction that are used here. */
interface TransactionConnection {
  readonly loss: Pick<ConnectionLoss, 'isTold' | 'unknownCommit'>;
  destroy(reason: Error): void;
  whileAlive<Result>(work: () => Promise<Result>): Promise<Result>;
}

/** The object that replaces the connection of a transaction until its first statement. */
interface Stand {
  readonly lease: TransactionConnection | undefined;
  giveUpWait(): void;
}

/** The exact text with which Kysely begins a transaction. Nobody else writes it so. */
// Seam: kysely/begin
const KYSELY_BEGIN = /^(?:begin$|start transaction(?: isolation level [a-z ]+?)?(?: read (?:only|write))?$)/;
const BEGUN = Symbol('begun');

/** Whether a statement is the one with which Kysely begins a transaction. */
export function isKyselyBegin(sql: string): boolean {
  return KYSELY_BEGIN.test(sql);
}

/** A transaction that MikroORM begins for an EntityManager. It has no connection before its first statement. */
export class BegunTransaction {
  isReadOnly = false;
  /** The object that replaces the connection which is being taken from the pool. */
  arriving: { readonly setUps: SetUp[] } | undefined;
  #isBeingSet = false;
  #stand: Stand | undefined;
  #ownStatements = 0;

  constructor(readonly owner: LeaseOwner) {}

  /** Whether the statement that begins the transaction was seen. */
  get isClaimed(): boolean {
    return this.#stand !== undefined;
  }

  claim(sql: string, stand: Stand): void {
    this.#stand = stand;
    this.isReadOnly = sql.endsWith('read only');
  }

  /** The connection of the transaction. Undefined before it has one. */
  get lease(): TransactionConnection | undefined {
    return this.#stand?.lease;
  }

  /** Whether the transaction holds a connection. True for a connection that cannot be followed. */
  get holdsConnection(): boolean {
    return this.#stand === undefined || this.#stand.lease !== undefined;
  }

  get isBeingSet(): boolean {
    return this.#isBeingSet;
  }

  /** Whether MikroORM is just beginning or ending a part of the transaction. */
  get isOwn(): boolean {
    return this.#ownStatements > 0;
  }

  /** Runs statements that begin or end a part of the transaction for MikroORM. */
  async asOwner<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#ownStatements += 1;
    try {
      return await work();
    } finally {
      this.#ownStatements -= 1;
    }
  }

  /** Runs the statements with which MikroORM configures the transaction, before other code gets it. */
  async whileBeingSet(work: () => Promise<void>): Promise<void> {
    this.#isBeingSet = true;
    try {
      await work();
    } finally {
      this.#isBeingSet = false;
    }
  }

  /** Waits for `work`, at most until the connection ends, which ends all work on it. */
  whileAlive<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.lease?.whileAlive(work) ?? work();
  }

  /** Ends the connection unless the returned function is called in time. */
  destroyAfter(milliseconds: number, statement: string): () => void {
    return unlessInTime(milliseconds, () =>
      this.lease?.destroy(new Error(`it did not answer to ${statement}, and was given up`)),
    );
  }

  /** Gives up the wait for a connection of a transaction that is rolled back. */
  giveUpWait(): void {
    this.#stand?.giveUpWait();
  }

  /** @throws {SessionStateError} for a statement that begins or ends a transaction, unless it comes from MikroORM */
  assertAllowed(sql: string, lexis?: SqlLexis): void {
    const control = this.isOwn ? undefined : findTransactionControl(sql, lexis);
    if (control !== undefined) {
      throw new SessionStateError(
        `The statement "${control}" was refused: it would end the transaction of "${this.owner.label}", which is ended ` +
          'by the block or call that began it. Return to commit, throw to roll back, use session.transactional() for a ' +
          'part.',
      );
    }
  }
}

/** Returns the BegunTransaction of a transaction of MikroORM, or of the transaction around a savepoint. */
export function begunOf(transaction: Transaction): BegunTransaction | undefined {
  return (transaction as { [BEGUN]?: BegunTransaction } | undefined)?.[BEGUN];
}

export function setBegun(transaction: Transaction, begun: BegunTransaction | undefined): void {
  Object.assign(transaction as object, { [BEGUN]: begun });
}
