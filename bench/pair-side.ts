// A process of its own for one pair. It sends what it has found, and ends.
import 'reflect-metadata';
import { setTimeout as pause } from 'node:timers/promises';

import type { Side } from './claim.ts';
import { inspectorIdlePair, inspectorWatchedPair } from './inspector.ts';
import type { Estimate, Pair } from './pair.ts';

export const pairs: Readonly<Record<string, Pair>> = {
  'inspector-idle': inspectorIdlePair,
  'inspector-watched': inspectorWatchedPair,
};

interface Times {
  /** Milliseconds of all threads of the process, the rest after the round included. */
  readonly processor: number;
  readonly clock: number;
}

async function time({ round }: Side, rest: number): Promise<Times> {
  const used = process.cpuUsage();
  const begun = performance.now();
  await round();
  const clock = performance.now() - begun;
  if (rest > 0) {
    await pause(rest);
  }
  const { user, system } = process.cpuUsage(used);
  return { processor: (user + system) / 1_000, clock };
}

/** The orders in which three take turns. */
const ORDERS = [
  [0, 1, 2],
  [2, 1, 0],
  [1, 2, 0],
  [0, 2, 1],
  [1, 0, 2],
  [2, 0, 1],
] as const;

async function run(pair: Pair, databaseUrl: string): Promise<void> {
  const { title, atMost, rounds, rest = 0, start } = pair;
  const sides = await start(databaseUrl);
  const taken: (readonly [Times, Times, Times])[] = [];
  for (let round = -Math.ceil(rounds / 3); round < rounds; round += 1) {
    const times: Times[] = [];
    for (const index of ORDERS[Math.abs(round) % ORDERS.length] ?? ORDERS[0]) {
      times[index] = await time(sides[index], rest);
    }
    if (round >= 0) {
      taken.push(times as [Times, Times, Times]);
    }
  }
  process.send?.({
    title,
    atMost,
    processor: estimate(taken.map(([withIt, without]) => withIt.processor / without.processor)),
    control: estimate(taken.map(([, without, control]) => control.processor / without.processor)),
    clock: estimate(taken.map(([withIt, without]) => withIt.clock / without.clock)),
  });
  await Promise.all(sides.map(({ close }) => close()));
  process.disconnect();
}

/** Tells by the order of the values alone how far the median may be off, whatever their distribution. */
function estimate(values: readonly number[]): Estimate {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const reach = 0.98 * Math.sqrt(sorted.length);
  const at = (place: number): number => sorted[Math.max(0, Math.min(sorted.length - 1, Math.floor(place)))] ?? 0;
  return { median: at(middle), low: at(middle - reach), high: at(middle + reach) };
}

// Without an address this file was imported, for its list.
const [, , name = '', databaseUrl] = process.argv;
const pair = pairs[name];
if (pair !== undefined && databaseUrl !== undefined) {
  await run(pair, databaseUrl);
}
