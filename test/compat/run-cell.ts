import { randomBytes } from 'node:crypto';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Client } from 'pg';

import { buildApp } from './build-app.ts';
import type { Cell } from './cell.ts';
import { findVersions } from './find-versions.ts';
import { installApp } from './install-app.ts';
import { packagesOf } from './packages-of.ts';
import { runProgram } from './run-program.ts';

const RUN_MS = 60_000;

export interface CellResult {
  readonly cell: Cell;
  readonly versions: Readonly<Record<string, string>>;
  readonly seconds: number;
  /** Undefined where it passed. */
  readonly failure: string | undefined;
}

export interface CellSurroundings {
  readonly tarball: string;
  /** The URL of a server of PostgreSQL. */
  readonly databaseUrl: string;
}

/** Makes the application of a cell in a folder of its own, and runs it to its end. */
export async function runCell(cell: Cell, { tarball, databaseUrl }: CellSurroundings): Promise<CellResult> {
  const begun = performance.now();
  const folder = mkdtempSync(join(tmpdir(), `nestjs-mikro-session-compat-${cell.name}-`));
  let versions: Record<string, string> = {};
  let failure: string | undefined;
  try {
    cpSync(join(import.meta.dirname, 'app'), join(folder, 'src'), { recursive: true });
    writeFileSync(join(folder, 'package.json'), JSON.stringify(packagesOf(cell, tarball), undefined, 2));
    await installApp(cell, folder);
    versions = findVersions(folder);
    const program = await buildApp(cell, folder);
    await withDatabase(databaseUrl, (url) => runApp(cell, { folder, program, url }));
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return { cell, versions, seconds: (performance.now() - begun) / 1_000, failure };
}

async function runApp(
  { node, runtime }: Cell,
  { folder, program, url }: { readonly folder: string; readonly program: string; readonly url: string },
): Promise<void> {
  const own = node === undefined ? process.execPath : join(folder, 'node_modules/node/bin/node');
  const command = runtime === 'bun' ? join(folder, 'node_modules/.bin/bun') : own;
  await runProgram(command, [program], { cwd: folder, timeout: RUN_MS, env: { DATABASE_URL: url, NODE_OPTIONS: '' } });
}

/** A database with the table of the application, which is dropped after `work`. */
async function withDatabase(serverUrl: string, work: (url: string) => Promise<void>): Promise<void> {
  const name = `mikro_session_compat_${randomBytes(6).toString('hex')}`;
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  await execute(serverUrl, `create database ${name}`);
  try {
    await execute(url.href, 'create table note (id serial primary key, text text not null)');
    await work(url.href);
  } finally {
    await execute(serverUrl, `drop database ${name} with (force)`);
  }
}

async function execute(url: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
