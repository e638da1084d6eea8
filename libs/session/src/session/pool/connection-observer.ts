import type { LeaseOwner } from './begun-transaction.js';

/** Is told who waits for connections, and what becomes of them. */
export interface ConnectionObserver {
  /** Called where somebody asks for a connection. */
  asked(owner: LeaseOwner | undefined): void;
  /** Called where that has come to an end, well or not. */
  answered(owner: LeaseOwner | undefined): void;
  /** Called where a transaction has its connection. */
  began(owner: LeaseOwner): void;
  /** Called where the connection of a transaction is given back. */
  gaveBack(owner: LeaseOwner, isCommitted: boolean): void;
}

/** Who is told of the connections of one pool, if anybody is. */
export interface Observed {
  observer: ConnectionObserver | undefined;
}
