import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import type { Claim, Side } from './claim.ts';

const LATENCY_MS = 1;

/** The same claim where the database is not on this machine: what counts then are the round trips. */
export function throughNetwork(claim: Claim): Claim {
  return {
    ...claim,
    title: `${claim.title}, with a network of ${LATENCY_MS} ms each way`,
    rounds: 9,
    ours: (databaseUrl) => openThroughNetwork(databaseUrl, (url) => claim.ours(url)),
    theirs: (databaseUrl) => openThroughNetwork(databaseUrl, (url) => claim.theirs(url)),
  };
}

async function openThroughNetwork(databaseUrl: string, open: (databaseUrl: string) => Promise<Side>): Promise<Side> {
  const script = fileURLToPath(new URL('./proxy.ts', import.meta.url));
  const proxy = fork(script, [databaseUrl, String(LATENCY_MS)], { execArgv: [] });
  const ended = once(proxy, 'exit');
  const [url] = (await Promise.race([once(proxy, 'message'), ended])) as unknown[];
  if (typeof url !== 'string') {
    throw new Error(`The process of the proxy ended with code ${proxy.exitCode}.`);
  }
  const side = await open(url);
  return {
    ...side,
    async close() {
      await side.close();
      proxy.disconnect();
      await ended;
    },
  };
}
