// Installs the packed library into small applications, one for each combination of versions and tools, runs the same
// program in each, and prints a table. Arguments choose cells by their names; `--quick` those that matter most.
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { startEmbeddedPostgres } from '../../src/postgres/embedded-postgres.ts';
import { packLibrary } from '../package/pack-library.ts';
import { cells, quickCells } from './cells.ts';
import { type CellResult, runCell } from './run-cell.ts';
import { tableOf } from './table-of.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false }, list: { type: 'boolean', default: false } },
});
const names = values.quick ? quickCells : positionals;
const unknown = names.filter((name) => !cells.some((cell) => cell.name === name));
if (unknown.length > 0 || values.list) {
  const known = cells.map(({ name }) => name).join('\n');
  process.stdout.write(unknown.length > 0 ? `Unknown: ${unknown.join(', ')}. There are:\n${known}\n` : `${known}\n`);
  process.exit(unknown.length > 0 ? 1 : 0);
}

const folder = mkdtempSync(join(tmpdir(), 'nestjs-mikro-session-compat-'));
// Lets the user that PostgreSQL runs as, when this one is root, pass.
chmodSync(folder, 0o711);
const given = process.env['DATABASE_URL'];
const server = given === undefined ? await startEmbeddedPostgres({ folder: join(folder, 'postgres') }) : undefined;
try {
  const surroundings = { tarball: packLibrary(folder), databaseUrl: given ?? server?.url ?? '' };
  const chosen = cells.filter(({ name }) => names.length === 0 || names.includes(name));
  const waiting = [...chosen];
  const results: CellResult[] = [];
  const work = async (): Promise<void> => {
    for (let cell = waiting.shift(); cell !== undefined; cell = waiting.shift()) {
      const result = await runCell(cell, surroundings);
      results.push(result);
      const end = result.failure === undefined ? 'passed' : `FAILED\n${result.failure}\n`;
      process.stderr.write(`${cell.name}: ${end} (${result.seconds.toFixed(0)} s)\n`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, work));
  const inOrder = results.toSorted((a, b) => chosen.indexOf(a.cell) - chosen.indexOf(b.cell));
  process.stdout.write(tableOf(inOrder));
  process.exitCode = results.every(({ failure }) => failure === undefined) ? 0 : 1;
} finally {
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
}
