import { checkCalm } from './calm.js';
import { audit } from './audit.js';
import type { ChaosApp } from './application/start-app.js';
import { rage } from './faults/faults.js';
import type { NetworkFaults } from './faults/network-faults.js';
import type { ServerFaults } from './faults/server-faults.js';
import type { Ledger } from './ledger.js';
import { createPause } from './pause.js';
import type { Random } from './random.js';
import type { StormDatabase } from './storm-database.js';
import type { Tally } from './tally.js';
import type { WorkerCrew } from './worker/worker-crew.js';
import { sendRequests } from './workloads/http-workload.js';
import { runJobs } from './workloads/jobs-workload.js';
import { sendJobs, sendPoison } from './workloads/queue-workload.js';

const CLIENTS = 8;
const RUNNERS = 2;

/** What a storm rages over. */
export interface Stage {
  readonly apps: readonly [ChaosApp, ChaosApp];
  readonly crew: WorkerCrew;
  readonly network: NetworkFaults;
  readonly server: ServerFaults;
  readonly database: StormDatabase;
  readonly ledger: Ledger;
  readonly tally: Tally;
}

export interface RoundOptions {
  readonly number: number;
  /** Milliseconds until everything is made whole again. What is left then is waited for. */
  readonly duration: number;
  readonly random: Random;
}

/** All workloads under all faults for a while; then the calm, in which everything must settle, and the audit. */
export async function runRound(stage: Stage, { number, duration, random }: RoundOptions): Promise<void> {
  const { apps, crew, network, server, database, ledger, tally } = stage;
  const prefix = `r${number}`;
  await database.forget();
  ledger.clear();
  // Sent before the storm, so that nothing but the jobs themselves is at fault when one is lost.
  const poison = {
    app: apps[1],
    ledger,
    tally,
    prefix,
    random: random.fork('poison'),
    signal: new AbortController().signal,
  };
  await sendPoison(poison, random.pick([['exit'], ['memory'], ['exit', 'memory']]));

  const storm = new AbortController();
  const { signal } = storm;
  const pause = createPause(signal);
  const workloads = apps.flatMap((app, which) => {
    const of = (name: string): Parameters<typeof runJobs>[0] => ({
      app,
      ledger,
      tally,
      signal,
      prefix: `${prefix}.${which}.${name}`,
      random: random.fork(`${which} ${name}`),
    });
    return [
      ...Array.from({ length: RUNNERS }, (_, runner) => runJobs(of(`job${runner}`))),
      ...Array.from({ length: CLIENTS }, (_, client) => sendRequests(of(`http${client}`))),
      sendJobs(of('queue')),
    ];
  });
  const raging = rage(
    { network, server, crew },
    { random: random.fork('faults'), pause, signal, tally, restartAfter: random.integer(duration / 4, duration / 2) },
  );
  await pause(duration);
  storm.abort();
  await raging;
  await network.heal();
  await Promise.all(workloads);
  await audit({ database, ledger, tally });
  for (const app of apps) {
    await checkCalm(app, tally);
  }
}
