// A process of its own for one measurement of memory. It sends what it has found, and ends.
import 'reflect-metadata';

import { JobService, SessionFactory } from 'nestjs-mikro-session';

import { startOurs } from './applications.ts';

const COUNT = 1_000_000;

interface Growth {
  readonly title: string;
  /** The most megabytes that the heap may grow by. */
  readonly atMost: number;
  /** Yields after each piece of the work. */
  work(app: Awaited<ReturnType<typeof startOurs>>): AsyncIterable<unknown>;
}

export const growths: Readonly<Record<string, Growth>> = {
  'growth-scopes': {
    title: `${COUNT} scopes opened and closed`,
    atMost: 5,
    async *work(app) {
      const factory = app.get(SessionFactory);
      for (let i = 0; i < COUNT; i += 1) {
        yield await factory.run(() => i);
      }
    },
  },
  'growth-stream': {
    title: `stream() of ${COUNT} inputs`,
    atMost: 20,
    work: (app) => app.get(JobService).stream(Array(COUNT).keys(), (_session, input) => input, { transaction: 'none' }),
  },
};

function heap(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / 1e6;
}

async function run({ title, atMost, work }: Growth, databaseUrl: string): Promise<void> {
  const app = await startOurs(databaseUrl);
  let done = 0;
  let before = 0;
  for await (const _ of work(app)) {
    done += 1;
    if (done === COUNT / 10) {
      before = heap();
    }
  }
  process.send?.({ title, atMost, growth: heap() - before });
  await app.close();
  process.disconnect();
}

// Without an address this file was imported, for its list.
const [, , name = '', databaseUrl] = process.argv;
const growth = growths[name];
if (growth !== undefined && databaseUrl !== undefined) {
  await run(growth, databaseUrl);
}
