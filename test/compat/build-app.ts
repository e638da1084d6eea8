import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Cell } from './cell.ts';
import { type ProgramOptions, runProgram } from './run-program.ts';

const BUILD_MS = 120_000;
const CLI_FILES = ['tsconfig.json', 'tsconfig.build.json', 'nest-cli.json'];
/** Packages that others ask for if they are there. */
const OPTIONAL = [
  '@nestjs/microservices*',
  '@nestjs/websockets*',
  '@mikro-orm/sql-highlighter',
  '@opentelemetry/api',
  'class-transformer*',
  'class-validator',
  'pg-native',
  'piscina',
  'tinyglobby',
];

/** Compiles the application in a folder. Returns the file to run. */
export async function buildApp(cell: Cell, folder: string): Promise<string> {
  const options: ProgramOptions = { cwd: folder, timeout: BUILD_MS };
  const run = (command: string, ...args: string[]): Promise<string> =>
    runProgram(join(folder, 'node_modules/.bin', command), args, options);
  switch (cell.build ?? 'tsc') {
    case 'tsc':
      writeTsconfig(cell, folder);
      await (cell.isStrict === true ? checkTypes(cell, options) : run('tsc'));
      return cell.isStrict === true ? 'dist/main-core.js' : 'dist/main.js';
    case 'nest':
    case 'nest-swc':
    case 'nest-webpack':
      await writeCliFiles(folder, run);
      if (cell.build === 'nest-webpack') {
        // One file has no room for the program of a thread.
        cpSync(join(folder, 'src/main-places.ts'), join(folder, 'src/main.ts'));
      }
      await run('nest', 'build', ...argumentsOf(cell));
      return 'dist/main.js';
    case 'esbuild':
      writeTsconfig(cell, folder);
      await run(
        'esbuild',
        'src/main-core.ts',
        '--bundle',
        '--minify',
        '--platform=node',
        '--format=cjs',
        '--outfile=dist/main.cjs',
        '--log-level=error',
        ...OPTIONAL.map((name) => `--external:${name}`),
      );
      return 'dist/main.cjs';
    case 'rspack':
      writeTsconfig(cell, folder);
      cpSync(join(import.meta.dirname, 'rspack-build.mjs'), join(folder, 'rspack-build.mjs'));
      await runProgram(process.execPath, ['rspack-build.mjs', ...OPTIONAL], options);
      return 'dist/main.cjs';
  }
}

function argumentsOf({ build }: Cell): string[] {
  const builders: Partial<Record<string, string>> = { 'nest-swc': 'swc', 'nest-webpack': 'webpack' };
  const builder = builders[build ?? ''];
  return builder === undefined ? [] : ['--builder', builder];
}

/** Has the CLI make a project, and takes its settings over. Its relative imports have no extension in CommonJS. */
async function writeCliFiles(
  folder: string,
  run: (command: string, ...args: string[]) => Promise<string>,
): Promise<void> {
  await run('nest', 'new', 'made', '--skip-install', '--skip-git', '--package-manager', 'npm');
  for (const name of CLI_FILES) {
    cpSync(join(folder, 'made', name), join(folder, name));
  }
  const { type } = JSON.parse(readFileSync(join(folder, 'made/package.json'), 'utf8')) as { readonly type?: string };
  rmSync(join(folder, 'made'), { recursive: true });
  if (type === 'module') {
    // Its tests are written for another tool than this application has.
    const path = join(folder, 'tsconfig.json');
    writeFileSync(path, readFileSync(path, 'utf8').replace('"vitest/globals", ', ''));
    return;
  }
  const source = join(folder, 'src');
  for (const name of readdirSync(source)) {
    const path = join(source, name);
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll(/(from '\.\/[\w.-]+)\.js'/g, "$1'"));
  }
}

function writeTsconfig({ isStrict = false }: Cell, folder: string): void {
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2022',
    lib: ['es2022'],
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: !isStrict,
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
    rootDir: 'src',
    outDir: 'dist',
  };
  const files = isStrict ? { files: ['src/main-core.ts', 'src/doors.ts'] } : { include: ['src'] };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, ...files }));
}

/** The declarations of others may be wrong: MikroORM's are, with `exactOptionalPropertyTypes`. */
async function checkTypes(cell: Cell, options: ProgramOptions): Promise<void> {
  const output = await runProgram(join(options.cwd, 'node_modules/.bin/tsc'), ['--pretty', 'false'], {
    ...options,
    mayFail: true,
  });
  const own = output
    .split('\n')
    .filter((line) => /^\S.*error TS/.test(line) && !/^node_modules\/(?!nestjs-mikro-session\/)/.test(line));
  if (own.length > 0) {
    throw new Error(`TypeScript ${cell.typescript} finds in ${cell.name}:\n${own.join('\n')}`);
  }
}
