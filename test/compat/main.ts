// Installs the packed library into small applications, one for each combination of versions and tools, runs the same
// program in each, and prints a table. Arguments choose cells by their names, `--quick` those that matter most, and
// `--suite` runs the tests of this project on other versions, all of them or those of some folders.
import { parseArgs } from 'node:util';

import { cells, quickCells } from './cells.ts';
import { runCells } from './run-cells.ts';
import { runSuite, type SuiteRun } from './run-suite.ts';
import { toSuiteTable } from './suite-table.ts';
import { suites } from './suites.ts';
import { tableOf } from './table-of.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false }, suite: { type: 'boolean', default: false } },
});

/** @throws {TypeError} for a name that is not known */
function assertKnown(names: readonly string[], known: readonly string[]): void {
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw new TypeError(`Expected ${known.join(', ')}, got ${unknown.join(', ')}.`);
  }
}

if (values.suite) {
  const isPath = (name: string): boolean => name.startsWith('test/');
  const names = positionals.filter((name) => !isPath(name));
  assertKnown(
    names,
    suites.map(({ name }) => name),
  );
  const runs: SuiteRun[] = [];
  for (const suite of suites.filter(({ name }) => names.length === 0 || names.includes(name))) {
    runs.push(await runSuite(suite, positionals.filter(isPath)));
  }
  process.stdout.write(toSuiteTable(runs));
  process.exitCode = runs.every(({ failures }) => failures.length === 0) ? 0 : 1;
} else {
  const names = values.quick ? quickCells : positionals;
  const known = cells.map(({ name }) => name);
  assertKnown(names, known);
  const results = await runCells(cells.filter(({ name }) => names.length === 0 || names.includes(name)));
  process.stdout.write(tableOf(results));
  process.exitCode = results.every(({ failure }) => failure === undefined) ? 0 : 1;
}
