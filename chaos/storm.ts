import { NetworkProxy } from '../test/support/network-proxy.js';
import { type ChaosApp, startApp } from './application/start-app.js';
import { NetworkFaults } from './faults/network-faults.js';
import { ServerFaults } from './faults/server-faults.js';
import { countHandles, findHandlesLeft, measureHeap } from './handles.js';
import { Ledger } from './ledger.js';
import type { Random } from './random.js';
import { runRound, type Stage } from './round.js';
import type { Server } from './server.js';
import type { StormDatabase } from './storm-database.js';
import type { Tally } from './tally.js';
import { within } from './within.js';
import { WorkerCrew } from './worker/worker-crew.js';

const LONGEST_ROUND_MS = 20_000;
/** What the calm after a round takes, as a rule: a round that would not leave as much is not begun. */
const CALM_MS = 30_000;
const CLOSE_MS = 30_000;
/** Milliseconds that the driver of one of the two applications waits for an answer. The other waits for ever. */
const QUERY_TIMEOUT_MS = 3_000;

export interface StormOptions {
  readonly server: Server;
  readonly database: StormDatabase;
  readonly random: Random;
  readonly tally: Tally;
  /** When no further round begins. */
  readonly deadline: number;
  /** The only round to run. */
  readonly round: number | undefined;
  readonly onRound: (number: number) => void;
}

/** Round after round over the same applications, which must be the same after each. */
export async function storm({
  server,
  database,
  random,
  tally,
  deadline,
  round,
  onRound,
}: StormOptions): Promise<void> {
  const proxies = await Promise.all([0, 1, 2].map(() => NetworkProxy.start(database.url)));
  const [first, second, third] = proxies as [NetworkProxy, NetworkProxy, NetworkProxy];
  const before = countHandles();
  const ledger = new Ledger();
  const apps: [ChaosApp, ChaosApp] = [
    await startApp({
      name: 'chaos express',
      databaseUrl: first.url,
      platform: 'express',
      injection: 'request',
      ledger,
    }),
    await startApp({
      name: 'chaos fastify',
      databaseUrl: second.url,
      platform: 'fastify',
      injection: 'contextual',
      ledger,
      queryTimeout: QUERY_TIMEOUT_MS,
    }),
  ];
  const work = { databaseUrl: third.url, queue: 'work' } as const;
  const crew = new WorkerCrew(
    [
      { ...work, name: 'chaos single', chunkSize: 1, prefetch: 1 },
      { ...work, name: 'chaos chunks', chunkSize: 20, prefetch: 1 },
      { ...work, name: 'chaos prefetch', chunkSize: 1, prefetch: 10 },
    ],
    tally,
  );
  const poisoned = new WorkerCrew(
    [
      random.fork('poison').chance(0.5)
        ? { name: 'chaos poison', databaseUrl: database.url, queue: 'poison', chunkSize: 20, prefetch: 1 }
        : { name: 'chaos poison', databaseUrl: database.url, queue: 'poison', chunkSize: 1, prefetch: 10 },
    ],
    tally,
  );
  const stage: Stage = {
    apps,
    crew,
    network: new NetworkFaults([first, second, third], tally),
    server: new ServerFaults(server, database, tally),
    database,
    ledger,
    tally,
  };
  let heap: number | undefined;
  for (const number of round === undefined ? roundsUntil(deadline) : [round]) {
    onRound(number);
    const duration = Math.min(LONGEST_ROUND_MS, Math.max(deadline - Date.now() - CALM_MS, LONGEST_ROUND_MS / 3));
    await runRound(stage, { number, duration, random: random.fork(`round ${number}`) });
    ledger.clear();
    const now = measureHeap();
    // The first round fills caches and pools.
    heap ??= now;
    tally.growth.set('applications in the storm', now - heap);
  }
  await Promise.all([crew.end(), poisoned.end()]);
  for (const { app, name } of apps) {
    await within(CLOSE_MS, `Closing ${name}`, app.close()).catch((error: Error) => tally.find('hangs', error.message));
  }
  await Promise.all(proxies.map((proxy) => proxy.close()));
  const connections = await database.untilNoConnection();
  connections.forEach((about) => tally.find('connections', about));
  const handles = await findHandlesLeft(before);
  handles.forEach((about) => tally.find('handles', about));
}

/** One round at least, and as many as there is time for. */
function* roundsUntil(deadline: number): Generator<number, void> {
  let number = 0;
  do {
    yield number;
    number += 1;
  } while (deadline - Date.now() > CALM_MS + LONGEST_ROUND_MS / 2);
}
