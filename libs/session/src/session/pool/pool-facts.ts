import type { LeaseOwner } from './begun-transaction.js';

/** How many connections a pool has, and how many want one. */
export interface PoolFacts {
  readonly max: number;
  /** Those that are open, or being opened. */
  readonly size: number;
  readonly idle: number;
  readonly waiting: number;
}

/** What goes on on a connection that is checked out. */
export interface ConnectionFacts {
  readonly owner: LeaseOwner | undefined;
  /** That of the process of the server. */
  readonly processId: number | undefined;
  /** Whether a statement in its transaction has failed, so that it can only be rolled back. */
  readonly hasFailed: boolean;
  /** The statement that runs, with its values, and since when by the clock of `performance`. */
  readonly statement: { readonly sql: string; readonly since: number } | undefined;
}
