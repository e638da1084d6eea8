// Makes the two applications that the Nest CLI makes, CommonJS with Jest and ESM with Vitest, and runs one test file with
// SessionTesting in each runner that they may have.
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { startEmbeddedPostgres } from '../../src/postgres/embedded-postgres.ts';

const runners = fileURLToPath(new URL('runners', import.meta.url));

const swc = (module) => [
  '@swc/jest',
  {
    jsc: {
      target: 'es2023',
      parser: { syntax: 'typescript', decorators: true },
      transform: { legacyDecorator: true, decoratorMetadata: true },
    },
    module: { type: module },
  },
];
/** As the Nest CLI starts it. */
const jest = ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js'];
const spec = ['--testRegex', 'users.e2e-spec.ts$'];

/** What each runner is started with, by its name and the application that it runs in. */
const checks = [
  { name: 'Jest, CommonJS, ts-jest', app: 'cjs', args: [...jest, '--config', 'test/jest-e2e.json', ...spec] },
  { name: 'Jest, CommonJS, SWC', app: 'cjs', args: [...jest, '--config', 'jest-swc.json', ...spec] },
  { name: 'Jest, ESM, SWC', app: 'esm', args: [...jest, '--config', 'jest-swc.json', ...spec] },
  {
    name: 'Vitest',
    app: 'esm',
    args: ['node_modules/vitest/vitest.mjs', 'run', '--config', 'vitest.config.e2e.ts', 'users.e2e-spec'],
  },
  {
    name: 'node:test',
    app: 'esm',
    args: ['--import', './test/node-test-globals.mjs', '--test', 'dist/test/users.e2e-spec.js'],
    build: ['node_modules/typescript/bin/tsc', '--noEmit', 'false'],
  },
];

/** Makes the applications below a folder, and gives the packages that they need and the library does not. */
export function makeApplications(folder, root) {
  const packages = {};
  for (const type of ['cjs', 'esm']) {
    const generate = ['@nestjs/schematics:application', `--name=${type}`, `--type=${type}`, '--no-dry-run'];
    execFileSync(join(root, 'node_modules/.bin/schematics'), generate, { cwd: folder, stdio: 'ignore' });
    const { devDependencies } = JSON.parse(readFileSync(join(folder, type, 'package.json'), 'utf8'));
    Object.assign(packages, devDependencies);
  }
  const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).devDependencies;
  const names = ['@nestjs/testing', '@types/jest', '@types/supertest', 'jest', 'supertest', 'ts-jest', 'vitest'];
  return [
    ...[...names, 'vite-tsconfig-paths'].map((name) => `${name}@${packages[name]}`),
    ...['@swc/core', '@swc/jest'].map((name) => `${name}@${own[name]}`),
  ];
}

/** Runs the test file in all runners, in applications whose packages are those of the folder. */
export async function checkTestRunners(folder) {
  for (const app of ['cjs', 'esm']) {
    const place = join(folder, app);
    symlinkSync('../node_modules', join(place, 'node_modules'));
    cpSync(runners, join(place, 'test'), { recursive: true });
    const module = app === 'esm' ? 'es6' : 'commonjs';
    const config = {
      transform: { '^.+\\.ts$': swc(module) },
      ...(app === 'esm' && { extensionsToTreatAsEsm: ['.ts'] }),
    };
    writeFileSync(join(place, 'jest-swc.json'), JSON.stringify(config));
  }
  const given = process.env['DATABASE_URL'];
  const files = mkdtempSync(join(tmpdir(), 'nestjs-mikro-session-package-server-'));
  // Lets the user that PostgreSQL runs as, when this one is root, pass.
  chmodSync(files, 0o711);
  const settings = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' };
  const server = given === undefined ? await startEmbeddedPostgres({ folder: files, settings }) : undefined;
  try {
    checks.forEach((check) => run(check, folder, given ?? server.url));
  } finally {
    await server?.stop();
    rmSync(files, { recursive: true, force: true });
  }
}

function run({ name, app, build, args }, folder, databaseUrl) {
  const env = { ...process.env, DATABASE_URL: databaseUrl, CI: 'true' };
  for (const command of [build, args].filter((one) => one !== undefined)) {
    const { status, stdout, stderr } = spawnSync(process.execPath, command, {
      cwd: join(folder, app),
      env,
      encoding: 'utf8',
    });
    if (status !== 0) {
      throw new Error(`The tests fail in ${name}.\n${stdout}\n${stderr}`);
    }
  }
  process.stdout.write(`The tests run in ${name}.\n`);
}
