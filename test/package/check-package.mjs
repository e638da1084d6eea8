// Packs the library as it would be published, checks the tarball with publint and are-the-types-wrong, and installs it
// into an empty NestJS project outside of the workspace, which then uses it and is type-checked.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { checkTestRunners, makeApplications } from './check-test-runners.mjs';
import { packLibrary } from './pack-library.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'nestjs-mikro-session-package-'));
const run = (command, args, cwd) => execFileSync(command, args, { cwd, stdio: 'inherit' });

try {
  const tarball = packLibrary(folder);
  run('npx', ['--no', 'publint', 'run', tarball, '--strict'], root);
  run('npx', ['--no', 'attw', tarball, '--profile', 'esm-only'], root);

  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const project = join(folder, 'project');
  cpSync(join(root, 'test/package/project'), project, { recursive: true });
  const names = ['@mikro-orm/core', '@mikro-orm/decorators', '@mikro-orm/nestjs', '@mikro-orm/postgresql'];
  const nest = ['@nestjs/common', '@nestjs/core', '@nestjs/platform-express', 'reflect-metadata', 'rxjs'];
  const wanted = [...names, ...nest].map((name) => [name, dependencies[name]]);
  writeFileSync(
    join(project, 'package.json'),
    JSON.stringify({
      name: 'empty-project',
      private: true,
      type: 'module',
      dependencies: { ...Object.fromEntries(wanted), 'nestjs-mikro-session': `file:${tarball}` },
      devDependencies: { typescript: devDependencies.typescript, '@types/node': devDependencies['@types/node'] },
    }),
  );
  const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
  run('npm', ['install', ...quiet], project);
  run('npx', ['--no', 'tsc'], project);
  run(process.execPath, ['dist/main.js'], project);
  run(process.execPath, ['--input-type=module', '-e', "await import('nestjs-mikro-session')"], project);
  run(process.execPath, ['dist/testing.js'], project);
  run(process.execPath, ['dist/inspector.js'], project);
  const page = join(project, 'node_modules/nestjs-mikro-session/page');
  const files = readdirSync(page).toSorted().join();
  if (files !== 'page.css,page.js,troubleshooting.html') {
    throw new Error(`The page of the inspector has these files: ${files}.`);
  }

  const forRunners = makeApplications(project, root);
  const boss = `pg-boss@${devDependencies['pg-boss'] ?? dependencies['pg-boss']}`;
  run('npm', ['install', ...quiet, boss, ...forRunners], project);
  run('npx', ['--no', '--', 'tsc', '--project', 'tsconfig.queue.json'], project);
  run(process.execPath, ['--input-type=module', '-e', "await import('./dist/queue.js')"], project);
  await checkTestRunners(project);
  process.stdout.write('The package is sound.\n');
} finally {
  rmSync(folder, { recursive: true, force: true });
}
