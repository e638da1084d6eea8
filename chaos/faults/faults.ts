import type { Pause } from '../pause.js';
import type { Random } from '../random.js';
import type { Tally } from '../tally.js';
import type { WorkerCrew } from '../worker/worker-crew.js';
import type { NetworkFaults } from './network-faults.js';
import type { ServerFaults } from './server-faults.js';

export interface FaultSources {
  readonly network: NetworkFaults;
  readonly server: ServerFaults;
  /** The worker processes that may be killed and frozen. */
  readonly crew: WorkerCrew;
}

/** What goes wrong, and how often beside the others. */
const KINDS = [
  ...Array<'network'>(12).fill('network'),
  ...Array<'terminate'>(5).fill('terminate'),
  ...Array<'cancel'>(3).fill('cancel'),
  ...Array<'kill'>(2).fill('kill'),
  ...Array<'freeze'>(2).fill('freeze'),
  'dismiss',
] as const;

/** Lets one thing after the other go wrong, several at once now and then, until the storm is over. */
export async function rage(
  { network, server, crew }: FaultSources,
  { random, pause, signal, tally, restartAfter }: Rage,
): Promise<void> {
  const going = new Set<Promise<void>>();
  const restart = pause(restartAfter).then(() => server.restart(random.fork('restart')));
  going.add(restart);
  for (let number = 0; !signal.aborted; number += 1) {
    const own = random.fork(`fault ${number}`);
    const strike = one(own);
    going.add(strike);
    void strike.finally(() => going.delete(strike));
    await pause(own.integer(20, 500));
  }
  await Promise.all(going);

  async function one(own: Random): Promise<void> {
    const kind = own.pick(KINDS as unknown as readonly ['network', ...(typeof KINDS)[number][]]);
    const member = own.integer(0, crew.size - 1);
    switch (kind) {
      case 'network':
        return network.strike(own, pause);
      case 'terminate':
        return server.terminate(own);
      case 'cancel':
        return server.cancel(own);
      case 'kill':
        crew.kill(member);
        tally.counts.killed += 1;
        return;
      case 'freeze':
        tally.counts.frozen += 1;
        return crew.freeze(member, pause(own.integer(200, 6_000)));
      case 'dismiss':
        return crew.dismiss(member);
    }
  }
}

export interface Rage {
  readonly random: Random;
  readonly pause: Pause;
  readonly signal: AbortSignal;
  readonly tally: Tally;
  /** Milliseconds after which the server is restarted. */
  readonly restartAfter: number;
}
