import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** One side of a claim, ready to run. */
export interface Side {
  /** Returns the milliseconds that count, where those are not the ones that pass. */
  round(): Promise<number | void>;
  close(): Promise<void>;
}

/** One comparison: the same work done in two ways, timed in turn within one run. */
export interface Claim {
  readonly title: string;
  readonly peer: string;
  /** The most that ours may take, as a multiple of the time of the peer. Left out where the row is for comparison only. */
  readonly atMost?: number;
  /** @default 15 */
  readonly rounds?: number;
  /** How many things of a user are in a round, such as tests. The row then says what each of them costs. */
  readonly parts?: number;
  /** Returns why the peer is not to be had on this machine, where it is not. */
  readonly findMissing?: () => string | undefined;
  ours(databaseUrl: string): Promise<Side>;
  theirs(databaseUrl: string): Promise<Side>;
}

export interface Result {
  readonly title: string;
  readonly peer: string;
  readonly atMost: number | undefined;
  /** Median over the rounds of our time divided by theirs. */
  readonly ratio: number;
  readonly lowest: number;
  readonly highest: number;
  /** Median milliseconds of one round. */
  readonly ours: number;
  readonly theirs: number;
  readonly parts: number | undefined;
}

const LEAST_WARM_UP = 3;
const ROUNDS = 15;

/** Runs both sides in turn, each in a process of its own, with the order changed from round to round. */
export async function measure(name: string, claim: Claim, databaseUrl: string): Promise<Result> {
  const theirs = await start(name, 'theirs', databaseUrl);
  const ours = await start(name, 'ours', databaseUrl);
  const { title, peer, atMost, parts, rounds = ROUNDS } = claim;
  const times: { readonly ours: number; readonly theirs: number }[] = [];
  const warmUp = Math.max(LEAST_WARM_UP, Math.ceil(rounds / 3));
  for (let round = -warmUp; round < rounds; round += 1) {
    const isOursFirst = round % 2 === 0;
    const first = await (isOursFirst ? ours : theirs).round();
    const second = await (isOursFirst ? theirs : ours).round();
    if (round >= 0) {
      times.push(isOursFirst ? { ours: first, theirs: second } : { ours: second, theirs: first });
    }
  }
  await Promise.all([ours.close(), theirs.close()]);
  const ratios = times.map((one) => one.ours / one.theirs);
  return {
    title,
    peer,
    atMost,
    ratio: median(ratios),
    lowest: Math.min(...ratios),
    highest: Math.max(...ratios),
    ours: median(times.map((one) => one.ours)),
    theirs: median(times.map((one) => one.theirs)),
    parts,
  };
}

interface Runner {
  /** Returns the milliseconds of one round. */
  round(): Promise<number>;
  close(): Promise<void>;
}

async function start(name: string, side: 'ours' | 'theirs', databaseUrl: string): Promise<Runner> {
  const child = fork(fileURLToPath(new URL('./side.ts', import.meta.url)), [name, side, databaseUrl], { execArgv: [] });
  const ended = once(child, 'exit');
  const answer = async (): Promise<unknown> => {
    const [message] = (await Promise.race([once(child, 'message'), ended])) as unknown[];
    if (child.exitCode !== null) {
      throw new Error(`The process of the side "${side}" of "${name}" ended with code ${child.exitCode}.`);
    }
    return message;
  };
  await answer();
  return {
    async round() {
      child.send('round');
      return Number(await answer());
    },
    async close() {
      child.disconnect();
      await ended;
    },
  };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}
