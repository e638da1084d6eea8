import type { SuiteRun } from './run-suite.ts';

const HEAD = ['tests on', 'NestJS', 'MikroORM', 'passed', 'failed', 'left out'];

/** Writes what became of the tests as a table of Markdown, with what failed and why others were left out below it. */
export function toSuiteTable(runs: readonly SuiteRun[]): string {
  const rows = runs.map(({ cell, versions, passed, failures, leftOut }) => [
    cell.name,
    versions['@nestjs/core'],
    versions['@mikro-orm/core'],
    passed,
    failures.length,
    leftOut,
  ]);
  const table = [HEAD, HEAD.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |\n`).join('');
  const notes = runs.flatMap(({ cell, failures, reasons }) => [
    ...failures.map((name) => `- ${cell.name} fails: ${name}\n`),
    ...reasons.map((reason) => `- ${cell.name} leaves out: ${reason}\n`),
  ]);
  return `${table}\n${notes.join('')}`;
}
