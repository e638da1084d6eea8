import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type EmbeddedPostgres, startEmbeddedPostgres } from '../src/postgres/embedded-postgres.ts';
import { measure, type Result } from './claim.ts';
import { type GrowthResult, measureGrowth } from './growth.ts';
import { growths } from './growth-side.ts';
import { type Estimate, measurePair, type PairResult } from './pair.ts';
import { pairs } from './pair-side.ts';
import { claims } from './side.ts';

const [, , chosen = ''] = process.argv;

async function run(databaseUrl: string): Promise<Result[]> {
  const results: Result[] = [];
  for (const [name, claim] of Object.entries(claims).filter(([known]) => known.startsWith(chosen))) {
    const missing = claim.findMissing?.();
    if (missing === undefined) {
      results.push(await measure(name, claim, databaseUrl));
    } else {
      process.stdout.write(`Left out: "${name}". ${missing}\n\n`);
    }
  }
  return results;
}

async function runGrowths(databaseUrl: string): Promise<GrowthResult[]> {
  const results: GrowthResult[] = [];
  for (const name of Object.keys(growths).filter((known) => known.startsWith(chosen))) {
    results.push(await measureGrowth(name, databaseUrl));
  }
  return results;
}

async function runPairs(databaseUrl: string): Promise<PairResult[]> {
  const results: PairResult[] = [];
  for (const name of Object.keys(pairs).filter((known) => known.startsWith(chosen))) {
    results.push(await measurePair(name, databaseUrl));
  }
  return results;
}

function printTable(head: readonly string[], lines: readonly string[]): void {
  if (lines.length > 0) {
    process.stdout.write(`${[...head, ...lines].join('\n')}\n\n`);
  }
}

interface Results {
  readonly results: readonly Result[];
  readonly paired: readonly PairResult[];
  readonly growing: readonly GrowthResult[];
}

function print({ results, paired, growing }: Results): void {
  const lines = results.map(
    ({ title, peer, ratio, lowest, highest, atMost, ...times }) =>
      `| ${title} | ${peer} | ${ratio.toFixed(2)} (${lowest.toFixed(2)} to ${highest.toFixed(2)}) | ${toClaim(atMost)} | ${toEach(times)} |`,
  );
  printTable(
    ['| ours | against | time, as a multiple of the peer | claim | each |', '| --- | --- | --- | --- | --- |'],
    lines,
  );
  printTable(
    [
      '| with | processor time, as a multiple of that without | control | on the clock | claim |',
      '| --- | --- | --- | --- | --- |',
    ],
    paired.map(
      ({ title, atMost, processor, control, clock }) =>
        `| ${title} | ${[processor, control, clock].map(toText).join(' | ')} | ${toClaim(atMost)} |`,
    ),
  );
  printTable(
    ['| work | growth of the heap from 10% of the way to the end | claim |', '| --- | --- | --- |'],
    growing.map(({ title, growth, atMost }) => `| ${title} | ${growth.toFixed(1)} MB | at most ${atMost} MB |`),
  );
}

function toText({ median, low, high }: Estimate): string {
  return `${median.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`;
}

function toEach({ ours, theirs, parts }: Pick<Result, 'ours' | 'theirs' | 'parts'>): string {
  return parts === undefined ? '' : `${(ours / parts).toFixed(1)} ms, of the peer ${(theirs / parts).toFixed(1)} ms`;
}

function toClaim(atMost: number | undefined): string {
  return atMost === undefined ? 'none, for comparison' : `at most ${Number(atMost.toFixed(3))}`;
}

const folder = await mkdtemp(join(tmpdir(), 'nestjs-mikro-session-bench-'));
// Lets the user that PostgreSQL runs as, when this one is root, pass: it would work in a folder elsewhere that stays.
await chmod(folder, 0o711);
const given = process.env['DATABASE_URL'];
const server: EmbeddedPostgres | undefined =
  given === undefined
    ? await startEmbeddedPostgres({ folder, settings: { fsync: 'off', synchronous_commit: 'off' } })
    : undefined;
try {
  const databaseUrl = given ?? server?.url ?? '';
  const results = await run(databaseUrl);
  const paired = await runPairs(databaseUrl);
  const growing = await runGrowths(databaseUrl);
  print({ results, paired, growing });
  await writeFile(
    new URL('./results.json', import.meta.url),
    `${JSON.stringify([...results, ...paired, ...growing], undefined, 2)}\n`,
  );
} finally {
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
}
