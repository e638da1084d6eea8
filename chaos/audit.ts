import { setTimeout as wait } from 'node:timers/promises';

import type { Ledger } from './ledger.js';
import type { QueuedJob, StormDatabase } from './storm-database.js';
import type { Tally } from './tally.js';

/** What the queue may take to end all its jobs, once everything else is there again. */
const QUEUE_BOUND_MS = 90_000;
/** What the work of a request whose client is gone may take: a connection that has ended in a black hole takes longest. */
const WORK_BOUND_MS = 45_000;
const POLL_MS = 250;

/** Jobs that must end in the dead letter queue. */
const DOOMED: ReadonlySet<string> = new Set(['bad', 'exit', 'memory']);

export interface AuditOptions {
  readonly database: StormDatabase;
  readonly ledger: Ledger;
  readonly tally: Tally;
}

/** Compares what was told with what is there, once everything has settled. */
export async function audit({ database, ledger, tally }: AuditOptions): Promise<void> {
  for (const key of await stillOpen(ledger)) {
    tally.find('hangs', `The work on ${key} in its request did not settle`);
  }
  const jobs = await untilEnded(database);
  const deadLetters = await database.findDeadLetters();
  for (const job of jobs) {
    auditJob(job, { deadLetters, ledger, tally });
  }
  const marks = await database.countMarks();
  auditLots(jobs, marks, tally);
  const { lost, doubled, untrue, unknown } = ledger.audit(marks);
  lost.forEach((key) => tally.find('lost', `${key} was told to be committed, and has no row`));
  doubled.forEach((key) => tally.find('doubled', `${key} has ${marks.get(key)} rows, told ${ledger.told(key)}`));
  untrue.forEach((key) => tally.find('untrue', `${key} has a row, told ${ledger.told(key) ?? 'nothing'}`));
  tally.counts.unknown += unknown;
}

/** Waits for work that has not settled. Gives the keys of what does not do so in time. */
async function stillOpen({ open }: Ledger): Promise<readonly string[]> {
  const deadline = Date.now() + WORK_BOUND_MS;
  while (open.size > 0 && Date.now() < deadline) {
    await wait(POLL_MS);
  }
  return [...open];
}

/** Waits for the end of all durable jobs, as long as the bound lets it. */
async function untilEnded(database: StormDatabase): Promise<readonly QueuedJob[]> {
  const deadline = Date.now() + QUEUE_BOUND_MS;
  for (;;) {
    const jobs = await database.findJobs();
    if (Date.now() > deadline || jobs.every(({ state }) => state === 'completed' || state === 'failed')) {
      return jobs;
    }
    await wait(POLL_MS);
  }
}

interface JobAudit {
  readonly deadLetters: ReadonlySet<string>;
  readonly ledger: Ledger;
  readonly tally: Tally;
}

/** A job that is completed has left its mark. One that has failed has left none, and lies in the dead letter queue. */
function auditJob({ key, queue, deed, state, attempts }: QueuedJob, { deadLetters, ledger, tally }: JobAudit): void {
  tally.counts.durable += 1;
  const about = `The job ${key} (${deed}) of queue "${queue}" is ${state} after ${attempts} attempts`;
  switch (state) {
    case 'completed':
      ledger.tell(key, 'committed');
      break;
    case 'failed':
      ledger.tell(key, 'absent');
      tally.counts.deadLetters += 1;
      if (!deadLetters.has(key)) {
        tally.find('lost', `${about}, and not in the dead letter queue`);
      }
      break;
    default:
      ledger.tell(key, 'unheard');
      tally.find('hangs', about);
      return;
  }
  if (DOOMED.has(deed) !== (state === 'failed')) {
    tally.find('untrue', about);
  }
}

/** The jobs of a lot were sent in one transaction with a mark: they are there exactly when it is. */
function auditLots(jobs: readonly QueuedJob[], marks: ReadonlyMap<string, number>, tally: Tally): void {
  const lots = new Set(jobs.map(({ lot }) => lot));
  for (const lot of lots) {
    if (!marks.has(lot)) {
      tally.find('untrue', `The jobs of ${lot} are there, although its transaction was rolled back`);
    }
  }
  for (const lot of marks.keys()) {
    if (lot.startsWith('lot:') && !lots.has(lot)) {
      tally.find('lost', `The jobs of ${lot} are not there, although its transaction was committed`);
    }
  }
}
