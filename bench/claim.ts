/** One comparison: the same work done in two ways, timed in turn within one run. */
export interface Claim {
  readonly title: string;
  readonly peer: string;
  /** The most that ours may take, as a multiple of the time of the peer. */
  readonly atMost: number;
  ours(): Promise<void>;
  theirs(): Promise<void>;
}

export interface Result {
  readonly title: string;
  readonly peer: string;
  readonly atMost: number;
  /** Median over the rounds of our time divided by theirs. */
  readonly ratio: number;
  readonly lowest: number;
  readonly highest: number;
  /** Median milliseconds of one round. */
  readonly ours: number;
  readonly theirs: number;
}

/** Runs both sides in turn, the first round uncounted, with the order changed from round to round. */
export async function measure({ title, peer, atMost, ours, theirs }: Claim, rounds: number): Promise<Result> {
  await theirs();
  await ours();
  const times: { readonly ours: number; readonly theirs: number }[] = [];
  for (let round = 0; round < rounds; round += 1) {
    if (round % 2 === 0) {
      const first = await time(theirs);
      times.push({ theirs: first, ours: await time(ours) });
    } else {
      const first = await time(ours);
      times.push({ ours: first, theirs: await time(theirs) });
    }
  }
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
  };
}

async function time(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}
