import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type EmbeddedPostgres, startEmbeddedPostgres } from '../src/postgres/embedded-postgres.ts';
import { measure, type Result } from './claim.ts';
import { claims } from './side.ts';

async function run(databaseUrl: string): Promise<Result[]> {
  const results: Result[] = [];
  const [, , chosen = ''] = process.argv;
  for (const [name, claim] of Object.entries(claims).filter(([known]) => known.startsWith(chosen))) {
    results.push(await measure(name, claim, databaseUrl));
  }
  return results;
}

function print(results: readonly Result[]): void {
  const lines = results.map(
    ({ title, peer, ratio, lowest, highest, atMost }) =>
      `| ${title} | ${peer} | ${ratio.toFixed(2)} (${lowest.toFixed(2)} to ${highest.toFixed(2)}) | ${toClaim(atMost)} |`,
  );
  const head = ['| ours | against | time, as a multiple of the peer | claim |', '| --- | --- | --- | --- |'];
  process.stdout.write(`${[...head, ...lines].join('\n')}\n`);
}

function toClaim(atMost: number | undefined): string {
  return atMost === undefined ? 'none, for comparison' : `at most ${Number(atMost.toFixed(3))}`;
}

const folder = await mkdtemp(join(tmpdir(), 'nestjs-mikro-session-bench-'));
const given = process.env['DATABASE_URL'];
const server: EmbeddedPostgres | undefined =
  given === undefined
    ? await startEmbeddedPostgres({ folder, settings: { fsync: 'off', synchronous_commit: 'off' } })
    : undefined;
try {
  const results = await run(given ?? server?.url ?? '');
  print(results);
  await writeFile(new URL('./results.json', import.meta.url), `${JSON.stringify(results, undefined, 2)}\n`);
} finally {
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
}
