import { Agent, request, type RequestOptions } from 'node:http';

import type { Random } from '../random.js';
import { HangError, within } from '../within.js';
import type { Workload } from './jobs-workload.js';
import { sendRaw } from './raw-request.js';
import { COMMITTING, NOWHERE, planRequest, type PlannedRequest } from './request-plan.js';

/** A client's patience with an application that answers. */
const PATIENCE_MS = 4_000;
/** After that a request is neither answered, nor refused, nor cut. */
const BOUND_MS = 20_000;
const NOT_FOUND = 404;

/** Sends one request after the other until the storm is over, over connections that are kept. */
export async function sendRequests(workload: Workload): Promise<void> {
  const { app, random, prefix, signal, tally } = workload;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const { port } = new URL(app.url);
  for (let number = 0; !signal.aborted; number += 1) {
    const own = random.fork(`request ${number}`);
    const plan = planRequest(own, `${prefix}.${number}`);
    tally.counts.requests += 1;
    try {
      await within(BOUND_MS, `${plan.manner} ${plan.method} ${plan.path} of ${app.name}`, send(plan, own));
    } catch (error) {
      if (error instanceof HangError) {
        tally.find('hangs', error.message);
      }
    }
  }
  agent.destroy();

  async function send(plan: PlannedRequest, own: Random): Promise<void> {
    switch (plan.manner) {
      case 'raw':
        tally.counts.requests += plan.followers.length;
        return sendRaw(Number(port), plan, own);
      case 'cut':
        await exchange({ agent, port, ...plan }, plan.body, own.integer(0, 300));
        return;
      case 'whole': {
        const status = await exchange({ agent, port, ...plan }, plan.body, PATIENCE_MS);
        if (status === NOT_FOUND && plan.route !== NOWHERE) {
          tally.find('untrue', `${plan.method} ${plan.path} of ${app.name} is answered as if there were no such route`);
        }
        // Whoever was told "done" can rely on it.
        if (status !== undefined && status < 300 && COMMITTING.has(plan.route)) {
          workload.ledger.tell(plan.route === 'order' ? `lot:${plan.key}` : plan.key, 'committed');
        }
      }
    }
  }
}

/** Sends a request, and cuts it when it takes longer than `patience`. Gives the status of a whole answer. */
function exchange(options: RequestOptions, body: string, patience: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const sent = request({ host: '127.0.0.1', ...options }, (response) => {
      response.on('error', () => undefined);
      response.on('close', () => resolve(response.complete ? response.statusCode : undefined));
      response.resume();
    });
    const timer = setTimeout(() => sent.destroy(), patience);
    sent.on('error', () => resolve(undefined));
    sent.on('close', () => {
      clearTimeout(timer);
      resolve(undefined);
    });
    sent.end(body);
  });
}
