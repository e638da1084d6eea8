import type { Cell } from './cell.ts';
import type { CellResult } from './run-cell.ts';

const HEAD = ['cell', 'NestJS', 'MikroORM', 'runtime', 'TypeScript', 'how it is built', 'result'];

/** Writes what became of each cell as a table of Markdown. */
export function tableOf(results: readonly CellResult[]): string {
  const rows = results.map((result) => [
    result.cell.name,
    result.versions['@nestjs/core'] ?? '',
    result.versions['@mikro-orm/core'] ?? '',
    runtimeOf(result),
    result.versions['typescript'] ?? '',
    buildOf(result.cell),
    result.failure === undefined ? 'passes' : `fails: ${result.failure.split('\n')[0]}`,
  ]);
  return [HEAD, HEAD.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |\n`).join('');
}

function runtimeOf({ cell, versions }: CellResult): string {
  return cell.runtime === 'bun'
    ? `Bun ${versions['bun'] ?? ''}`
    : `Node.js ${versions['node'] ?? process.versions.node}`;
}

function buildOf({ build = 'tsc', module, manager = 'npm', isStrict = false }: Cell): string {
  const modules = module === 'commonjs' ? 'CommonJS' : 'ESM';
  const kind = build === 'esbuild' || build === 'rspack' ? 'one minified file' : modules;
  return [build, kind, ...(isStrict ? ['`skipLibCheck: false`'] : []), ...(manager === 'npm' ? [] : [manager])].join(
    ', ',
  );
}
