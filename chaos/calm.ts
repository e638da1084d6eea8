import { setTimeout as wait } from 'node:timers/promises';

import { holdTogether } from '../test/support/hold-together.js';
import { type ChaosApp, POOL_SIZE } from './application/start-app.js';
import type { Tally } from './tally.js';
import { within } from './within.js';

/** A connection that PostgreSQL has ended in a black hole is given up after some thirty seconds. */
const SCOPES_BOUND_MS = 45_000;
const POLL_MS = 20;
const ROUND_TRIP_MS = 2_000;
/** Connections that a black hole has taken show only when they are used: each try finds some of them. */
const TRIES = 6;

/** Looks whether an application is as it was before the storm: no scope lives, and each place in its pool can be had. */
export async function checkCalm(app: ChaosApp, tally: Tally): Promise<void> {
  await untilNoScope(app, tally);
  let reason: unknown;
  let most = 0;
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    try {
      await within(
        ROUND_TRIP_MS * 5,
        `Taking all connections of ${app.name}`,
        holdAll(app, (held) => (most = Math.max(most, held))),
      );
      return;
    } catch (error) {
      reason = error;
    }
  }
  tally.find('connections', `${most} of ${POOL_SIZE} places in the pool of ${app.name} can be had: ${explain(reason)}`);
}

/** Each reason once: the jobs of a run fail for the same one as a rule, and tell their number. */
function explain(reason: unknown): string {
  const failures = reason instanceof AggregateError ? (reason.errors as readonly Error[]) : [];
  const causes = new Set(failures.map(({ cause }) => String(cause).replace(/job \d+/, 'job')));
  return [String(reason), ...causes].join('; ');
}

async function untilNoScope({ registry, name }: ChaosApp, tally: Tally): Promise<void> {
  const deadline = Date.now() + SCOPES_BOUND_MS;
  while (registry.list().length > 0 && Date.now() < deadline) {
    await wait(POLL_MS);
  }
  for (const { label, state, age, heldConnections } of registry.list()) {
    tally.find('hangs', `${label} of ${name} is ${state} after ${age} ms, and holds ${heldConnections} connections`);
  }
}

/** Holds every connection of the pool at the same moment. */
async function holdAll({ jobs }: ChaosApp, onHeld: (count: number) => void): Promise<void> {
  await jobs.map(
    Array.from({ length: POOL_SIZE }, (_, index) => index),
    holdTogether(POOL_SIZE, onHeld),
    { concurrency: POOL_SIZE, timeout: ROUND_TRIP_MS },
  );
}
