import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The packages of NestJS whose numbers are not those of NestJS itself, and what of them is for NestJS 11. */
const FOR_NEST_11: Readonly<Record<string, string>> = {
  '@nestjs/apollo': '^13.0.0',
  '@nestjs/event-emitter': '^3.0.0',
  '@nestjs/graphql': '^13.0.0',
  '@nestjs/mercurius': '^13.0.0',
  '@nestjs/schedule': '^6.0.0',
};

/** Packages that MikroORM releases together, which only have the newest version if something has changed in them. */
const MIKRO_ORM = /^@mikro-orm\/(?!nestjs$)/;

interface Suite {
  /** Returns the range of a package for the suite, where it is another one than the project's. */
  rangeOf(name: string): string | undefined;
  readonly install: readonly string[];
}

export const suites: Readonly<Record<string, Suite>> = {
  'nest-11': {
    rangeOf: (name) => (name.startsWith('@nestjs/') ? (FOR_NEST_11[name] ?? '^11.0.0') : undefined),
    install: [],
  },
  'mikro-orm-newest': {
    rangeOf: (name) => (MIKRO_ORM.test(name) ? 'latest' : undefined),
    // Its packages ask for each other's exact version, which not all of them may have.
    install: ['--legacy-peer-deps'],
  },
};

interface Manifest {
  readonly dependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
}

/**
 * Runs tests of this project, in a copy of it that has other versions of packages.
 *
 * @throws {Error} where one fails
 */
export function runSuite({ rangeOf, install }: Suite, specs: readonly string[]): void {
  const root = join(import.meta.dirname, '../..');
  const folder = mkdtempSync(join(tmpdir(), 'nestjs-mikro-session-suite-'));
  const run = (command: string, args: readonly string[], env: object = {}): unknown =>
    execFileSync(command, args, { cwd: folder, stdio: 'inherit', env: { ...process.env, ...env } });
  try {
    const files = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' }).split('\0').filter(Boolean);
    for (const file of files.filter((name) => name !== 'package-lock.json')) {
      cpSync(join(root, file), join(folder, file));
    }
    const path = join(folder, 'package.json');
    const manifest = JSON.parse(readFileSync(path, 'utf8')) as Manifest;
    for (const ranges of [manifest.dependencies, manifest.devDependencies]) {
      for (const [name, range] of Object.entries(ranges)) {
        ranges[name] = rangeOf(name) ?? range;
      }
    }
    writeFileSync(path, JSON.stringify(manifest));
    run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error', ...install]);
    const jest = ['jest', '--silent', ...(specs.length === 0 ? ['--config', 'jest.suite.config.js'] : specs)];
    run('npx', ['--no', '--', ...jest], { NODE_OPTIONS: '--experimental-vm-modules' });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
