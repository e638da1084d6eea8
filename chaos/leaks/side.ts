// A process of its own for one measurement of what is left behind. It does a portion when it is told to, and measures.
import 'reflect-metadata';

import { getEventListeners } from 'node:events';

import { EntityManager } from '@mikro-orm/postgresql';

import { type ChaosApp, startApp } from '../application/start-app.js';
import { Mark } from '../application/mark.entity.js';
import { countHandles, findHandlesLeft, measureHeap } from '../handles.js';
import { Ledger } from '../ledger.js';
import type { Answer, Order, SideSettings } from './orders.js';

/**
 * Kysely has a weak entry for each transaction until the next full collection, and its table keeps the largest size that it
 * has had: some 8 MB where collections are rare. That is no leak, and would hide one.
 */
const SCOPES_BETWEEN_COLLECTIONS = 50_000;

/** How many jobs share a run. */
const RUN = 500;
const TIMEOUT_MS = 15;

const settings = JSON.parse(process.argv[2] ?? '') as SideSettings;
const ledger = new Ledger();
const problems: string[] = [];
process.on('unhandledRejection', (error) => problems.push(String(error)));
process.on('warning', ({ name, message }) => {
  if (name === 'MaxListenersExceededWarning') {
    problems.push(message);
  }
});
// What has been asked for is done one after the other.
process.on('message', (order: Order) => void obey(order).catch((error: unknown) => answer({ failure: String(error) })));
const before = countHandles();
const app = await startApp({ ...settings, name: 'chaos leaks', ledger });
answer({ url: app.url });

async function obey(order: Order): Promise<void> {
  switch (order.kind) {
    case 'scopes':
      answer({ done: await openScopes(app, order) });
      return;
    case 'jobs':
      answer({ done: await runJobs(app, order) });
      return;
    case 'heap':
      ledger.clear();
      answer({ heap: measureHeap() });
      return;
    case 'end': {
      const scopes = app.registry.list().map(({ label }) => `a live scope: ${label}`);
      await app.app.close();
      answer({ left: [...problems, ...scopes, ...(await findHandlesLeft(before))] });
      process.disconnect();
    }
  }
}

function answer(what: Answer): void {
  process.send?.(what);
}

/** Scopes of every kind: with a session that is used and one that is not, that end well and badly. */
async function openScopes({ factory }: ChaosApp, { count, deadline }: Order): Promise<number> {
  let done = 0;
  for (; done < count && Date.now() < deadline; done += 1) {
    if (done % SCOPES_BETWEEN_COLLECTIONS === 0) {
      measureHeap();
    }
    switch (done % 4) {
      case 0:
        await factory.run(() => done);
        break;
      case 1:
        await factory.run((session) => session.getReference(Mark, done));
        break;
      case 2:
        await factory.begin((session) => session.getReference(Mark, done));
        break;
      case 3:
        await factory
          .run(() => {
            throw new Error('The scope was to end badly');
          })
          .catch(() => undefined);
    }
  }
  return done;
}

/** Jobs that write, fail, run out of time and are aborted, a run of them at a time. */
async function runJobs({ jobs }: ChaosApp, { count, deadline }: Order): Promise<number> {
  let done = 0;
  while (done < count && Date.now() < deadline) {
    const abort = new AbortController();
    const inputs = Array.from({ length: Math.min(RUN, count - done) }, (_, index) => index);
    const options = {
      concurrency: 6,
      timeout: TIMEOUT_MS,
      signal: abort.signal,
      chunkSize: done % 1_000 === 0 ? 1 : 10,
    };
    let taken = 0;
    try {
      for await (const _ of jobs.stream(inputs, work, options)) {
        taken += 1;
        // The last tenth is aborted.
        if (taken === Math.floor(inputs.length * 0.9)) {
          abort.abort();
        }
      }
    } catch (error) {
      // What a stream throws that was cut short.
      if (error !== abort.signal.reason) {
        throw error;
      }
    }
    const listeners = getEventListeners(abort.signal, 'abort').length;
    if (listeners > 0) {
      problems.push(`${listeners} listeners of the signal of a run`);
    }
    done += inputs.length;
  }
  return done;
}

async function work(session: EntityManager, input: number): Promise<void> {
  session.create(Mark, { key: `leak ${input}`, source: 'leak' });
  switch (input % 50) {
    case 7:
      await session.flush();
      throw new Error('The job was to fail');
    case 17:
      await session.execute('select 1 / 0');
      break;
    case 27:
      await session.execute('select pg_sleep(1)');
      break;
    case 37:
      await new Promise(() => undefined);
  }
}
