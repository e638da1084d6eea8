import autocannon from 'autocannon';

import { prepare } from './applications.ts';
import type { Claim, Side } from './claim.ts';
import { type Setup, startHttp } from './http-application.ts';

const REQUESTS = 8_000;
const CONNECTIONS = 16;

interface HttpClaim {
  readonly title: string;
  readonly path: 'untouched' | 'used' | 'query';
  readonly ours: Setup;
  readonly theirs: Setup;
  /** The requests per second to reach, as a multiple of the peer's. */
  readonly atLeast: number;
}

const PEERS: Partial<Record<Setup, string>> = {
  none: 'the same route without any context',
  middleware: "@mikro-orm/nestjs's middleware",
  'middleware scope: REQUEST': '@mikro-orm/nestjs with `scope: REQUEST`',
};

/**
 * The server has this thread, the load another one. What counts is the processor time of this thread: the load takes as
 * much as the server does, and the two share the machine.
 */
async function serve(setup: Setup, path: string, databaseUrl: string): Promise<Side> {
  await prepare(databaseUrl);
  const app = await startHttp(setup, databaseUrl);
  const url = `${await app.getUrl()}/${path}`;
  return {
    async round() {
      const start = process.threadCpuUsage();
      const { non2xx, errors } = await autocannon({ url, connections: CONNECTIONS, amount: REQUESTS, workers: 1 });
      if (non2xx + errors > 0) {
        throw new Error(`${non2xx + errors} of ${REQUESTS} requests to /${path} failed.`);
      }
      const { user, system } = process.threadCpuUsage(start);
      return (user + system) / 1_000;
    },
    close: () => app.close(),
  };
}

function toClaim({ title, path, ours, theirs, atLeast }: HttpClaim): Claim {
  return {
    title: `HTTP, ${title}`,
    peer: PEERS[theirs] ?? theirs,
    atMost: 1 / atLeast,
    ours: (databaseUrl) => serve(ours, path, databaseUrl),
    theirs: (databaseUrl) => serve(theirs, path, databaseUrl),
  };
}

/** What sessions cost an HTTP server. */
export const httpClaims: Readonly<Record<string, Claim>> = {
  httpBare: toClaim({
    title: 'contextual, session not touched',
    path: 'untouched',
    ours: 'contextual',
    theirs: 'none',
    atLeast: 0.9,
  }),
  httpUntouched: toClaim({
    title: 'contextual, session not touched',
    path: 'untouched',
    ours: 'contextual',
    theirs: 'middleware',
    atLeast: 1.25,
  }),
  httpUsed: toClaim({
    title: 'contextual, session used without SQL',
    path: 'used',
    ours: 'contextual',
    theirs: 'middleware',
    atLeast: 1,
  }),
  httpQuery: toClaim({
    title: 'contextual, one query',
    path: 'query',
    ours: 'contextual',
    theirs: 'middleware',
    atLeast: 1,
  }),
  httpRequestUsed: toClaim({
    title: 'request-scoped, session used without SQL',
    path: 'used',
    ours: 'request',
    theirs: 'middleware scope: REQUEST',
    atLeast: 1,
  }),
  httpRequestQuery: toClaim({
    title: 'request-scoped, one query',
    path: 'query',
    ours: 'request',
    theirs: 'middleware scope: REQUEST',
    atLeast: 1,
  }),
};
