import { chmodSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Cell } from './cell.ts';
import { findVersions, versionOf } from './find-versions.ts';
import { runProgram } from './run-program.ts';
import { type Manifest, toSuiteManifest } from './suite-manifest.ts';
import { joinSuiteResults, readSuiteResult, type SuiteResult } from './suite-result.ts';

const INSTALL_MS = 600_000;
const RUN_MS = 1_800_000;
const root = join(import.meta.dirname, '../..');

export interface SuiteRun extends SuiteResult {
  readonly cell: Cell;
  readonly versions: Readonly<Record<string, string>>;
}

/** Runs the tests of this project, or those of some folders, in a copy of it that has other versions of packages. */
export async function runSuite(cell: Cell, paths: readonly string[]): Promise<SuiteRun> {
  const folder = mkdtempSync(join(tmpdir(), `nestjs-mikro-session-suite-${cell.name}-`));
  try {
    // The user of an embedded server must reach its programs.
    chmodSync(folder, 0o755);
    await copyProject(folder);
    const path = join(folder, 'package.json');
    const manifest = await toSuiteManifest(JSON.parse(readFileSync(path, 'utf8')) as Manifest, cell, findInstalled);
    writeFileSync(path, JSON.stringify(manifest, undefined, 2));
    await installSuite(cell, folder);
    const results: SuiteResult[] = [];
    for (const part of paths.length === 0 ? partsOf(folder) : paths) {
      const reason = findReasonAgainst(folder, part);
      const result = reason === undefined ? await runTests(folder, part) : leaveOut(reason);
      results.push(result);
      const { passed, leftOut, failures } = result;
      process.stderr.write(`${cell.name} ${part}: ${passed} passed, ${failures.length} failed, ${leftOut} left out\n`);
      failures.forEach((name) => process.stderr.write(`  fails: ${name}\n`));
    }
    return { cell, versions: findVersions(folder), ...joinSuiteResults(results) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function findInstalled(name: string): string | undefined {
  return versionOf(join(root, 'node_modules', name, 'package.json'));
}

async function copyProject(folder: string): Promise<void> {
  const files = await runProgram('git', ['ls-files', '-z'], { cwd: root, timeout: RUN_MS });
  for (const file of files.split('\0').filter((name) => name !== '' && name !== 'package-lock.json')) {
    cpSync(join(root, file), join(folder, file));
  }
}

async function installSuite({ mikroOrm }: Cell, folder: string): Promise<void> {
  const options = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
  // The packages of MikroORM ask for each other's exact version, which not all of them have.
  const peers = mikroOrm === undefined ? [] : ['--legacy-peer-deps'];
  await runProgram('npm', ['install', ...options, ...peers], { cwd: folder, timeout: INSTALL_MS });
}

/** The folders of tests, and the tests beside them: a run of all would be too long to be started again. */
function partsOf(folder: string): string[] {
  const folders = readdirSync(join(folder, 'test'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .filter(({ name }) => readdirSync(join(folder, 'test', name)).some((file) => file.endsWith('.spec.ts')));
  return [...folders.map(({ name }) => `test/${name}/`), 'test/[^/]+$'];
}

/** Packages of MikroORM of two minors in one application may not even be loaded. */
function findReasonAgainst(folder: string, part: string): string | undefined {
  const minorOf = (name: string): string | undefined =>
    versionOf(join(folder, 'node_modules/@mikro-orm', name, 'package.json'))?.replace(/\.\d+$/, '');
  const others = ['mariadb', 'mysql', 'sqlite'].filter((name) => minorOf(name) !== minorOf('core'));
  return part.startsWith('test/drivers') && others.length > 0
    ? `There is no version near ${minorOf('core')} of the drivers for ${others.join(', ')}: all of test/drivers/.`
    : undefined;
}

function leaveOut(reason: string): SuiteResult {
  return { passed: 0, leftOut: 0, failures: [], reasons: [reason] };
}

async function runTests(folder: string, part: string): Promise<SuiteResult> {
  const report = join(folder, 'report.json');
  rmSync(report, { force: true });
  const jest = ['node_modules/jest/bin/jest.js', '--config', 'jest.suite.config.js', '--silent', '--forceExit'];
  const args = ['--experimental-vm-modules', ...jest, '--json', '--outputFile', report, part];
  try {
    const output = await runProgram(process.execPath, args, { cwd: folder, timeout: RUN_MS, mayFail: true });
    return readSuiteResult(report, output);
  } catch (error) {
    return { passed: 0, leftOut: 0, failures: [`${part}: ${String(error)}`], reasons: [] };
  }
}
