import { setTimeout as wait } from 'node:timers/promises';

import { Mark } from '../application/mark.entity.js';
import type { PoisonDeed, QueueDeed } from '../application/queues.js';
import { HangError, within } from '../within.js';
import type { Workload } from './jobs-workload.js';

/** Without a limit of its own, a block on a connection that PostgreSQL has ended in a black hole takes some 35 seconds. */
const BOUND_MS = 45_000;
const LONGEST_PAUSE_MS = 500;
/** How often a job is tried that always throws. */
const BAD_RETRIES = 2;

const DEEDS: readonly [QueueDeed, ...QueueDeed[]] = [
  'write',
  'write',
  'write',
  'write',
  'slow',
  'nested',
  'flaky',
  'bad',
];

/** Sends jobs until the storm is over, each lot in one transaction with a mark: both are there, or neither is. */
export async function sendJobs(workload: Workload): Promise<void> {
  const { random, prefix, signal } = workload;
  for (let number = 0; !signal.aborted; number += 1) {
    const own = random.fork(`lot ${number}`);
    const lot = `lot:${prefix}.${number}`;
    const jobs = Array.from({ length: own.integer(1, 30) }, (_, index) => ({
      key: `job of ${lot}.${index}`,
      deed: own.pick(DEEDS),
      lot,
    }));
    await sendWithMark(workload, lot, (queue) =>
      queue.sendMany('work', jobs, ({ deed }) => (deed === 'bad' ? { retryLimit: BAD_RETRIES } : {})),
    );
    await wait(own.integer(20, LONGEST_PAUSE_MS));
  }
}

/** Sends innocent jobs, with some among them that end the process they run in. */
export async function sendPoison(workload: Workload, culprits: readonly PoisonDeed[]): Promise<void> {
  const { random, prefix } = workload;
  const deeds: PoisonDeed[] = Array.from({ length: 30 }, () => random.pick(['write', 'write', 'slow']));
  culprits.forEach((culprit) => deeds.splice(random.integer(0, deeds.length), 0, culprit));
  const lot = `lot:${prefix}.poison`;
  const jobs = deeds.map((deed, index) => ({ key: `job of ${lot}.${index}`, deed, lot }));
  await sendWithMark(workload, lot, (queue) => queue.sendMany('poison', jobs));
}

async function sendWithMark(
  { app: { factory, queue }, ledger, tally }: Workload,
  lot: string,
  send: (to: typeof queue) => Promise<number>,
): Promise<void> {
  const sent = ledger.record(lot, () =>
    factory.begin(async (session) => {
      session.create(Mark, { key: lot, source: 'lot' });
      await send(queue);
    }),
  );
  try {
    await within(BOUND_MS, `Sending ${lot}`, sent);
  } catch (error) {
    if (error instanceof HangError) {
      tally.find('hangs', error.message);
    }
  }
}
