import { AssertionError } from 'node:assert';

import type { PgBoss, Queue, QueueResult } from 'pg-boss';

import { SessionSetupError } from '../session/session-error.js';
import type { QueuePolicy } from './queue-policy.js';

/** Creates the missing queues, and updates the others. A dead letter queue is created before the queue that uses it. */
export async function setUpQueues(boss: PgBoss, policies: ReadonlyMap<string, QueuePolicy>): Promise<void> {
  const done = new Set<string>();
  const setUp = async (name: string): Promise<void> => {
    if (done.has(name)) {
      return;
    }
    done.add(name);
    const policy = policies.get(name);
    if (typeof policy?.deadLetter === 'string') {
      await setUp(policy.deadLetter);
    }
    await setUpQueue(boss, name, policy).catch((error: unknown) => {
      throw error instanceof AssertionError ? refusedQueue(name, error) : error;
    });
  };
  for (const name of policies.keys()) {
    await setUp(name);
  }
}

/**
 * @param policy undefined for a dead letter queue that the application only names: it must exist, and is not changed
 */
async function setUpQueue(boss: PgBoss, name: string, policy: QueuePolicy | undefined): Promise<void> {
  const known = await boss.getQueue(name);
  if (known === null) {
    await boss.createQueue(name, toNewQueue(policy));
    return;
  }
  if (policy === undefined) {
    return;
  }
  const { policy: kind, partition, ...changeable } = policy;
  assertSame(known, { policy: kind, partition });
  const changed = Object.entries(changeable).filter(
    ([option, value]) => value !== undefined && (known[option as keyof QueueResult] ?? null) !== value,
  );
  if (changed.length > 0) {
    await boss.updateQueue(name, Object.fromEntries(changed));
  }
}

/** Returns the options of a new queue, which has nothing to take back. */
function toNewQueue(policy: QueuePolicy | undefined): Omit<Queue, 'name'> {
  // With `notify`, workers fetch new jobs at once.
  return Object.fromEntries(Object.entries({ notify: true, ...policy }).filter(([, value]) => value !== null));
}

function refusedQueue(name: string, cause: AssertionError): TypeError {
  return new TypeError(
    `Expected the queue "${name}" to have a name and options that pg-boss accepts. ${cause.message}`,
    {
      cause,
    },
  );
}

function assertSame(known: QueueResult, wanted: Record<'policy' | 'partition', string | boolean | undefined>): void {
  for (const option of ['policy', 'partition'] as const) {
    const before = known[option];
    if (wanted[option] !== undefined && before !== wanted[option]) {
      throw new SessionSetupError(
        `The queue "${known.name}" was created with \`${option}\` ${String(before)}, and cannot be changed to ` +
          `${String(wanted[option])}. Take a new name for the queue, or delete the old one.`,
      );
    }
  }
}
