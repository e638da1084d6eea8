import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import type { Side } from './claim.ts';

/** The same work with and without something that costs little, so that the noise of two processes would hide its cost. */
export interface Pair {
  readonly title: string;
  /** The most processor time that the work may take with it, as a multiple of the time without it. */
  readonly atMost: number;
  readonly rounds: number;
  /** Milliseconds that the process rests after each round. What it does meanwhile counts. @default 0 */
  readonly rest?: number;
  /** The third is the second once more: how far it is from 1 tells how much of a figure is noise. */
  start(databaseUrl: string): Promise<readonly [withIt: Side, without: Side, control: Side]>;
}

/** The median of the ratios of all rounds, and between which figures the true one is with 95% certainty. */
export interface Estimate {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export interface PairResult {
  readonly title: string;
  readonly atMost: number;
  readonly processor: Estimate;
  readonly control: Estimate;
  /** The same of the time that passes on the clock. */
  readonly clock: Estimate;
}

/** Measures a pair in a process that both share. */
export async function measurePair(name: string, databaseUrl: string): Promise<PairResult> {
  const side = fileURLToPath(new URL('./pair-side.ts', import.meta.url));
  const child = fork(side, [name, databaseUrl], { execArgv: [] });
  const ended = once(child, 'exit');
  const [result] = (await Promise.race([once(child, 'message'), ended])) as unknown[];
  if (typeof result !== 'object') {
    throw new Error(`The process that measures "${name}" ended with code ${child.exitCode}.`);
  }
  await ended;
  return result as PairResult;
}
