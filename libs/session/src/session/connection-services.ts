import type { ConnectionPools } from './pool/connection-pools.js';
import type { LeakWatch } from './scope/leak-watch.js';
import type { OnMisuse } from './scope/misuse.js';
import type { OwnershipPolicy } from './ownership/ownership-policy.js';
import type { Roster } from './scope/roster.js';
import type { ScopeLookup } from './scope/scope-lookup.js';
import type { RunDetached } from './transaction/session-callbacks.js';
import type { ConnectionHolder } from './pool/connection-holder.js';
import type { TransactionFrames } from './transaction/transaction-frames.js';
import type { Unflushed } from './ownership/unflushed.js';

/** The services that all sessions of one connection share. */
export interface ConnectionServices {
  readonly scopes: ScopeLookup;
  readonly ownership: OwnershipPolicy;
  readonly connections: ConnectionPools;
  readonly leaks: LeakWatch;
  readonly frames: TransactionFrames;
  readonly unflushed: Unflushed;
  /** The sessions that may hold a connection. */
  readonly holders: Roster<ConnectionHolder>;
  readonly runDetached: RunDetached;
  /** Called for each misuse that is refused or warned of. */
  readonly onMisuse: OnMisuse;
}
