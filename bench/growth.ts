import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export interface GrowthResult {
  readonly title: string;
  /** Megabytes of the heap at the end, less those at 10% of the way, each after a full collection. */
  readonly growth: number;
  readonly atMost: number;
}

/** Runs one measurement of memory in a process of its own, which can collect its garbage. */
export async function measureGrowth(name: string, databaseUrl: string): Promise<GrowthResult> {
  const side = fileURLToPath(new URL('./growth-side.ts', import.meta.url));
  const child = fork(side, [name, databaseUrl], { execArgv: ['--expose-gc'] });
  const ended = once(child, 'exit');
  const [result] = (await Promise.race([once(child, 'message'), ended])) as unknown[];
  if (typeof result !== 'object') {
    throw new Error(`The process that measures "${name}" ended with code ${child.exitCode}.`);
  }
  await ended;
  return result as GrowthResult;
}
