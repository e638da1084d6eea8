import type { LeaseOwner } from './begun-transaction.js';

/** Observes the waits for connections and the use of connections. */
export interface ConnectionObserver {
  /** Called when a scope asks for a connection. */
  asked(owner: LeaseOwner | undefined): void;
  /** Called when that wait has ended, with or without a connection. */
  answered(owner: LeaseOwner | undefined): void;
  /** Called when a transaction has its connection. */
  began(owner: LeaseOwner): void;
  /** Called when the connection of a transaction is given back. */
  gaveBack(owner: LeaseOwner, isCommitted: boolean): void;
}

/** Holds the observer of the connections of one pool, if there is one. */
export interface Observed {
  observer: ConnectionObserver | undefined;
}
