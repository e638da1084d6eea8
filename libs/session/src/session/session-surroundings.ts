import type { ConnectionLeases } from './connection-leases.js';
import type { LeakWatch } from './leak-watch.js';
import type { OwnershipPolicy } from './ownership-policy.js';
import type { Roster } from './roster.js';
import type { ScopeLookup } from './scope-lookup.js';
import type { RunDetached } from './session-callbacks.js';
import type { SessionRecord } from './session-record.js';
import type { TransactionFrames } from './transaction-frames.js';
import type { Unflushed } from './unflushed.js';

/** What the sessions of one connection share. */
export interface SessionSurroundings {
  readonly scopes: ScopeLookup;
  readonly ownership: OwnershipPolicy;
  readonly connections: ConnectionLeases;
  readonly leaks: LeakWatch;
  readonly frames: TransactionFrames;
  readonly unflushed: Unflushed;
  /** The sessions that may hold a connection. */
  readonly holders: Roster<SessionRecord>;
  readonly runDetached: RunDetached;
}
