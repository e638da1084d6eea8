import { Agent, request } from 'node:http';

import type { Random } from '../random.js';

const CLIENTS = 12;
/** In the middle of what most routes take. */
const LONGEST_WAIT_MS = 12;

/** Routes with a session that is used, used in a transaction, left in one, failed with, streamed from. */
const ROUTES = ['transaction', 'flush', 'in-session', 'throw', 'left-open', 'refused', 'stream', 'nowhere'] as const;

export interface CutRequestsOptions {
  readonly url: string;
  readonly random: Random;
  readonly count: number;
  readonly deadline: number;
}

/** Sends so many requests, and cuts each third one while it is under way. */
export async function cutRequests({
  url,
  random,
  count,
  deadline,
}: CutRequestsOptions): Promise<{ readonly done: number; readonly cut: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  const { port } = new URL(url);
  let done = 0;
  let cut = 0;
  const client = async (): Promise<void> => {
    while (done < count && Date.now() < deadline) {
      done += 1;
      const number = done;
      // It answers nobody, and is cut always.
      const isCut = number % 3 === 0;
      const route = isCut && number % 9 === 0 ? 'never' : random.pick(ROUTES);
      cut += isCut ? 1 : 0;
      const patience = isCut ? random.integer(0, LONGEST_WAIT_MS) : undefined;
      await exchange(agent, { port, path: `/${route}/leak-${number}`, patience });
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  agent.destroy();
  return { done, cut };
}

interface Exchange {
  readonly port: string;
  readonly path: string;
  /** Milliseconds until the client goes away. */
  readonly patience: number | undefined;
}

function exchange(agent: Agent, { port, path, patience }: Exchange): Promise<void> {
  return new Promise((resolve) => {
    const sent = request({ host: '127.0.0.1', port, path, agent }, (response) => {
      response.on('error', () => undefined);
      response.on('close', resolve);
      response.resume();
    });
    const timer = patience === undefined ? undefined : setTimeout(() => sent.destroy(), patience);
    sent.on('error', () => undefined);
    sent.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
    sent.end();
  });
}
