// Builds library and demo where a source is newer than what was built: `--always` builds in any case. Two that are started
// at once build one after the other, and the second finds everything built. Under a program that runs nothing is built anew.
import { mkdirSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import { takeDist } from './dist-in-use.ts';

const SOURCES = [
  'src',
  'libs/session/src',
  'libs/session/tsconfig.build.json',
  'docs/troubleshooting.md',
  'nest-cli.json',
  'package.json',
  'scripts/build-page.ts',
  'scripts/render-guide.ts',
];
const CONFIGS = ['tsconfig.json', 'tsconfig.build.json'];
/** Is as old as the beginning of the build: what is changed during one is newer. */
const BUILT = 'dist/.built';
const BUILDS = ['libs/session/dist/index.js', 'libs/session/page/page.js'];

const root = join(import.meta.dirname, '..');
process.chdir(root);

function timeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** Of a folder and all that is in it: a file that was removed shows in the time of its folder. */
function newestOf(path: string): number {
  const isFolder = statSync(path).isDirectory();
  const below = isFolder ? readdirSync(path, { recursive: true, encoding: 'utf8' }) : [];
  return Math.max(timeOf(path), ...below.map((name) => timeOf(join(path, name))));
}

function isFresh(): boolean {
  const newest = Math.max(...[...SOURCES, ...CONFIGS].map((path) => newestOf(path)));
  return timeOf(BUILT) > newest && BUILDS.every((path) => timeOf(path) > 0);
}

const isAlways = process.argv.includes('--always');
if (isAlways || !isFresh()) {
  mkdirSync('node_modules/.cache', { recursive: true });
  // The kernel frees its lock when this process ends, however it ends.
  const lock = new DatabaseSync('node_modules/.cache/build-lock.sqlite', { timeout: 300_000 });
  lock.exec('begin exclusive');
  if (!isAlways && timeOf(BUILT) > 0 && !takeDist()) {
    process.stdout.write('Not built anew: a program runs from what is built. End it to have what has changed since.\n');
  } else if (isAlways || !isFresh()) {
    const begun = new Date();
    // What a build leaves that does not come to its end is not taken for built.
    rmSync(BUILT, { force: true });
    process.stdout.write('Building library and demo ...\n');
    process.once('exit', (code) => {
      if (code === 0) {
        writeFileSync(BUILT, '');
        utimesSync(BUILT, begun, begun);
      }
      lock.close();
    });
    const { buildPage } = await import('./build-page.ts');
    await buildPage();
    // In this process, which holds the lock as long as anything builds.
    process.argv = [process.execPath, 'nest', 'build', '--all'];
    await import('@nestjs/cli/bin/nest.js');
  }
}
