import type { LeaseOwner } from './begun-transaction.js';

/** A statement that waits for an answer. */
export interface RunningStatement {
  /** Its text, with its values where they are part of it. */
  readonly sql: string;
  /** When the wait began, by the clock of `performance`. */
  readonly since: number;
}

/** The number of connections of a pool, and of callers that wait for one. */
export interface PoolFacts {
  /** Undefined where there is no limit. */
  readonly max: number | undefined;
  /** The connections that are open or being opened. */
  readonly size: number;
  readonly idle: number;
  readonly waiting: number;
}

/** The state of a connection that is checked out. */
export interface ConnectionFacts {
  readonly owner: LeaseOwner | undefined;
  /** The process id on the server. Undefined where there is no server. */
  readonly processId: number | undefined;
  /** Whether a statement in its transaction has failed, so that it can only be rolled back. */
  readonly hasFailed: boolean;
  /** The statement that waits for an answer. */
  readonly statement: RunningStatement | undefined;
}
