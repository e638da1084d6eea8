import { Random } from '../random.js';
import type { StormDatabase } from '../storm-database.js';
import type { Tally } from '../tally.js';
import { HangError } from '../within.js';
import { cutRequests } from './cut-requests.js';
import { SideProcess } from './side-process.js';

/** The share of the work, or of its time, after which caches and pools are full: what grows then is a leak. */
const WARM_UP = 0.1;

interface Measurement {
  readonly name: string;
  readonly injection: 'request' | 'contextual';
  readonly count: number;
  /** Its part of the time, beside those of the others. */
  readonly weight: number;
  readonly counter: 'leakScopes' | 'leakJobs' | 'leakRequests';
}

const MEASUREMENTS: readonly Measurement[] = [
  { name: 'scopes', injection: 'request', count: 1_000_000, weight: 2, counter: 'leakScopes' },
  { name: 'jobs', injection: 'request', count: 200_000, weight: 4, counter: 'leakJobs' },
  { name: 'requests, request', injection: 'request', count: 100_000, weight: 4, counter: 'leakRequests' },
  { name: 'requests, contextual', injection: 'contextual', count: 100_000, weight: 4, counter: 'leakRequests' },
];

export interface LeakOptions {
  readonly database: StormDatabase;
  readonly random: Random;
  readonly tally: Tally;
  readonly deadline: number;
  readonly onMeasurement: (name: string) => void;
}

/** Does much of the same, each in a process of its own, and looks at what is left behind. */
export async function findLeaks(options: LeakOptions): Promise<void> {
  for (const [index, measurement] of MEASUREMENTS.entries()) {
    const weights = MEASUREMENTS.slice(index).reduce((sum, { weight }) => sum + weight, 0);
    const share = ((options.deadline - Date.now()) * measurement.weight) / weights;
    options.onMeasurement(measurement.name);
    await measure(measurement, { ...options, deadline: Date.now() + share });
  }
}

async function measure(
  { name, injection, count, counter }: Measurement,
  { database, random, tally, deadline }: LeakOptions,
): Promise<void> {
  const platform = injection === 'request' ? 'express' : 'fastify';
  const side = await SideProcess.start({ databaseUrl: database.url, platform, injection });
  try {
    const start = Date.now();
    const first = await work({ count: count * WARM_UP, deadline: start + (deadline - start) * WARM_UP * 2 });
    const before = await side.measureHeap();
    const rest = await work({ count: count - first, deadline });
    const after = await side.measureHeap();
    tally.counts[counter] += first + rest;
    tally.growth.set(name, after - before);
    const left = await side.end();
    left.forEach((about) => tally.find('handles', `${name}: ${about}`));
    const connections = await database.untilNoConnection();
    connections.forEach((about) => tally.find('connections', `${name}: ${about}`));
  } catch (error) {
    tally.find(error instanceof HangError ? 'hangs' : 'errors', `${name}: ${String(error)}`);
  } finally {
    side.kill();
  }

  async function work(portion: { readonly count: number; readonly deadline: number }): Promise<number> {
    switch (counter) {
      case 'leakScopes':
        return (await side.ask('scopes', portion)).done ?? 0;
      case 'leakJobs':
        return (await side.ask('jobs', portion)).done ?? 0;
      case 'leakRequests': {
        const { done, cut } = await cutRequests({ url: side.url, random, ...portion });
        tally.counts.leakRequestsCut += cut;
        return done;
      }
    }
  }
}
