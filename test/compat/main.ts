// Installs the packed library into small applications, one for each combination of versions and tools, runs the same
// program in each, and prints a table. Arguments choose cells by their names, `--quick` those that matter most, and
// `--suite` runs the tests of this project on other versions.
import { parseArgs } from 'node:util';

import { cells, quickCells } from './cells.ts';
import { runCells } from './run-cells.ts';
import { runSuite, suites } from './run-suite.ts';
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
  const known = Object.keys(suites);
  const names = positionals.filter((name) => !isPath(name));
  assertKnown(names, known);
  for (const name of names.length === 0 ? known : names) {
    const suite = suites[name];
    if (suite !== undefined) {
      process.stderr.write(`The tests on ${name}:\n`);
      runSuite(suite, positionals.filter(isPath));
    }
  }
} else {
  const names = values.quick ? quickCells : positionals;
  const known = cells.map(({ name }) => name);
  assertKnown(names, known);
  const results = await runCells(cells.filter(({ name }) => names.length === 0 || names.includes(name)));
  process.stdout.write(tableOf(results));
  process.exitCode = results.every(({ failure }) => failure === undefined) ? 0 : 1;
}
