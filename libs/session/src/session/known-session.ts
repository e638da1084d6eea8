import type { EntityManager, Transaction } from '@mikro-orm/core';

import type { HandedOut } from './ownership/handed-out/handed-out.js';
import type { LiveScope } from './scope/live-scope.js';
import type { SessionError } from './session-error.js';
import type { BeginOptions } from './transaction/begin-options.js';
import type { SessionTransactions } from './transaction/session-transactions.js';

/** The property of an EntityManager that holds its session: on the session itself, and on every fork of it. */
export const STATE = Symbol('session state');

/** What an EntityManager can ask of its session. */
export interface KnownSession {
  readonly scope: LiveScope;
  readonly session: EntityManager & WithState;
  readonly isOpen: boolean;
  /** The transactions of the session, made on first use. */
  readonly transactions: SessionTransactions;
  /** The transactions of the session. Undefined before their first use. */
  readonly knownTransactions: SessionTransactions | undefined;
  /** The innermost transaction of the session whose callback the running code is in. */
  readonly innermostTransaction: EntityManager | undefined;
  readonly handedOut: HandedOut;
  readonly checksOwnership: boolean;
  /** @throws {SessionError} when the session may not be used here and now */
  assertUsable(): void;
  /** Makes the unit of work of a fork refuse entities of other live sessions. */
  guard(em: EntityManager): void;
  refuse(error: SessionError): void;
  /** @throws {SessionClosedError} when the session has ended in the meantime */
  begun(em: EntityManager, transaction: Transaction): void;
  track(em: EntityManager, transaction: Transaction): void;
  isInFlushOf(em: EntityManager): boolean;
  /**
   * Waits for `work`, at most until the session ends.
   *
   * @throws {SessionClosedError} when the session ends first
   */
  whileOpen<Result>(work: Promise<Result>): Promise<Result>;
  read<Item>(stream: AsyncIterator<Item>, transaction: unknown): AsyncGenerator<Item, void>;
}

/** The method of a session that takes the options of a transaction which MikroORM reads from an EntityManager. */
export const TAKE_OPTIONS = Symbol('take options');

export interface WithState {
  [STATE]?: KnownSession;
  [TAKE_OPTIONS]?(options: BeginOptions): void;
}
