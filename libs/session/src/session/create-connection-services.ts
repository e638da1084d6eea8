import type { EntityManager } from '@mikro-orm/core';

import type { ConnectionServices } from './connection-services.js';
import { findUserFrame } from './find-user-frame.js';
import { STATE, type WithState } from './known-session.js';
import { OwnershipPolicy } from './ownership/ownership-policy.js';
import type { ConnectionHolder } from './pool/connection-holder.js';
import { ConnectionPools } from './pool/connection-pools.js';
import { HeldIdle } from './pool/held-idle.js';
import { PoolDeadlock } from './pool/pool-deadlock.js';
import { LeakWatch } from './scope/leak-watch.js';
import { Roster } from './scope/roster.js';
import type { SessionDefaults } from './session-options.js';
import { TransactionFrames } from './transaction/transaction-frames.js';

/** Makes the services that all sessions of one connection share. */
export function createConnectionServices(
  defaults: SessionDefaults,
  { scopes, onMisuse, runDetached }: Pick<ConnectionServices, 'scopes' | 'onMisuse' | 'runDetached'>,
): ConnectionServices {
  const leaks = new LeakWatch(defaults.leakAfter, onMisuse);
  const frames = new TransactionFrames((em: EntityManager & WithState) => em[STATE]);
  const holders = new Roster<ConnectionHolder>();
  const deadlock = new PoolDeadlock({ scopes, frames, leaks, holders, onMisuse });
  const heldIdle = new HeldIdle((owner) => {
    const holder = [...holders].find(({ scope }) => scope === owner);
    return holder && findUserFrame(leaks.stackOf(holder));
  }, onMisuse);
  return {
    scopes,
    ownership: new OwnershipPolicy(defaults.ownership ?? 'error', onMisuse),
    connections: new ConnectionPools(
      () => scopes.current,
      (pool, wait) => deadlock.wait(pool, wait),
      defaults.resetConnections ?? 'changed',
      { heldIdleAfter: defaults.heldIdleAfter, onHeldIdle: (owner, time) => heldIdle.report(owner, time) },
    ),
    leaks,
    frames,
    unflushed: defaults.unflushed ?? 'warn',
    holders,
    onMisuse,
    runDetached,
  };
}
