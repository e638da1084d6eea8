import type { Cell } from './cell.ts';

/** What `npm run compat` tries, in this order. */
export const cells: readonly Cell[] = [
  { name: 'nest-11-lowest', nest: '11.1.4', module: 'commonjs', isLowest: true },
  { name: 'nest-11', nest: '^11.1.4' },
  { name: 'nest-12-lowest', nest: '12.0.1' },
  { name: 'nest-12' },
  { name: 'mikro-orm-lowest', mikroOrm: '7.1.10' },
  { name: 'mikro-orm-7.1', mikroOrm: '7.1.15' },
  { name: 'mikro-orm-7.2.0', mikroOrm: '7.2.0' },
  { name: 'mikro-orm-newest', mikroOrm: 'latest' },
  { name: 'node-22.17', node: '22.17.0' },
  { name: 'node-newest', node: 'latest' },
  { name: 'typescript-5.9', typescript: '5.9', isStrict: true },
  { name: 'typescript-6', typescript: '6', isStrict: true },
  { name: 'typescript-7', typescript: '7', isStrict: true },
  { name: 'typescript-5.9-nest-11', typescript: '5.9', nest: '^11.1.4', isStrict: true },
  { name: 'nest-cli-11', nest: '^11.1.4', typescript: '^5.9.0', module: 'commonjs', build: 'nest' },
  { name: 'nest-cli-12', build: 'nest' },
  { name: 'swc-11', nest: '^11.1.4', typescript: '^5.9.0', module: 'commonjs', build: 'nest-swc' },
  { name: 'swc-12', build: 'nest-swc' },
  { name: 'webpack-11', nest: '^11.1.4', typescript: '^5.9.0', module: 'commonjs', build: 'nest-webpack' },
  { name: 'esbuild', build: 'esbuild' },
  { name: 'rspack', build: 'rspack' },
  { name: 'pnpm', manager: 'pnpm' },
  { name: 'yarn', manager: 'yarn' },
  { name: 'bun', runtime: 'bun' },
];

/** Those that matter most, for each change. */
export const quickCells: readonly string[] = ['nest-11-lowest', 'mikro-orm-lowest', 'typescript-5.9', 'esbuild'];
