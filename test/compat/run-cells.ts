import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';

import { startEmbeddedPostgres } from '../../src/postgres/embedded-postgres.ts';
import { packLibrary } from '../package/pack-library.ts';
import type { Cell } from './cell.ts';
import { type CellResult, type CellSurroundings, runCell } from './run-cell.ts';

const AT_ONCE = 2;

/** Tries cells, on the server of DATABASE_URL or on one of its own. Tells of each on the standard error. */
export async function runCells(cells: readonly Cell[]): Promise<CellResult[]> {
  const folder = mkdtempSync(join(tmpdir(), 'nestjs-mikro-session-compat-'));
  // Lets the user that PostgreSQL runs as, when this one is root, pass.
  chmodSync(folder, 0o711);
  const given = process.env['DATABASE_URL'];
  const server = given === undefined ? await startEmbeddedPostgres({ folder: join(folder, 'postgres') }) : undefined;
  try {
    return await runAll(cells, { tarball: packLibrary(folder), databaseUrl: given ?? server?.url ?? '' });
  } finally {
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function runAll(cells: readonly Cell[], surroundings: CellSurroundings): Promise<CellResult[]> {
  const results: CellResult[] = [];
  const waiting = [...cells];
  const work = async (): Promise<void> => {
    for (let cell = waiting.shift(); cell !== undefined; cell = waiting.shift()) {
      const result = await runCell(cell, surroundings);
      results.push(result);
      const end = result.failure === undefined ? 'passes' : `fails:\n${result.failure}`;
      process.stderr.write(`${cell.name} (${result.seconds.toFixed(0)} s) ${end}\n`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, availableParallelism()) }, work));
  return results.toSorted((a, b) => cells.indexOf(a.cell) - cells.indexOf(b.cell));
}
