import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';

import { NodeProcess } from '../support/node-process.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const BUILDING = 'Building library and demo';

describe('the build before a start', () => {
  let folder: string;
  let started: NodeProcess[];

  beforeEach(async () => {
    started = [];
    folder = await mkdtemp(join(tmpdir(), 'build-'));
    await mkdir(join(folder, 'node_modules'));
    for (const name of ['@nestjs', 'typescript', 'esbuild', '@esbuild', 'markdown-it']) {
      await symlink(join(root, 'node_modules', name), join(folder, 'node_modules', name));
    }
    for (const name of ['scripts', 'nest-cli.json', 'package.json', 'docs/troubleshooting.md']) {
      await cp(join(root, name), join(folder, name), { recursive: true });
    }
    for (const name of ['tsconfig.json', 'tsconfig.build.json', 'libs/session/tsconfig.build.json']) {
      await copyConfig(name);
    }
    await mkdir(join(folder, 'src/cli'), { recursive: true });
    await mkdir(join(folder, 'libs/session/src/inspector/page'), { recursive: true });
    await writeFile(join(folder, 'libs/session/src/inspector/page/page.tsx'), 'export {};\n');
    await writeFile(join(folder, 'libs/session/src/inspector/page/page.css'), '');
    await writeFile(join(folder, 'src/globals.d.ts'), 'declare const console: any;\ndeclare const process: any;\n');
    await writeFile(join(folder, 'src/main.ts'), 'export const demo = () => 1;\n');
    await writeFile(join(folder, 'src/cli/read-range.ts'), `export { demo as readRange } from '../main.js';\n`);
    await writeFile(join(folder, 'src/cli/main.ts'), `console.log('run with', ...process.argv.slice(2));\n`);
    await writeFile(join(folder, 'libs/session/src/index.ts'), 'export const library = 1;\n');
  });

  afterEach(async () => {
    for (const { pid } of started.filter(({ isRunning }) => isRunning)) {
      process.kill(pid, 'SIGKILL');
    }
    await Promise.all(started.map((one) => one.ended()));
    await rm(folder, { recursive: true, force: true });
  });

  /** With few types to know, as most of a small build is to read those of Node. */
  async function copyConfig(name: string): Promise<void> {
    const config = JSON.parse(await readFile(join(root, name), 'utf8')) as { compilerOptions: object };
    Object.assign(config.compilerOptions, { lib: ['es5'], types: [] });
    await mkdir(join(folder, name, '..'), { recursive: true });
    await writeFile(join(folder, name), JSON.stringify(config));
  }

  const start = (script: 'build.ts' | 'cli.ts' | 'run.ts', ...args: readonly string[]): NodeProcess => {
    const words = [join(folder, 'scripts', script), ...args];
    const one = new NodeProcess(words.at(-1) ?? '', {}, [process.execPath, ...words.slice(0, -1)]);
    started.push(one);
    return one;
  };

  /** Returns how many of them have built. */
  const buildsOf = async (...all: readonly NodeProcess[]): Promise<number> => {
    for (const one of all) {
      if ((await one.ended()) !== 0) {
        throw new Error(`The build failed. It said:\n${one.output}${one.errors}`);
      }
    }
    return all.filter(({ output }) => output.includes(BUILDING)).length;
  };

  it('builds what is not built, and nothing when all is', async () => {
    const first = await buildsOf(start('build.ts'));
    const second = await buildsOf(start('build.ts'));

    expect([first, second]).toEqual([1, 0]);
    expect(existsSync(join(folder, 'dist/main.js'))).toBe(true);
    expect(existsSync(join(folder, 'libs/session/dist/index.js'))).toBe(true);
  }, 60_000);

  it('builds anew, once, when a source or a setting is newer', async () => {
    await buildsOf(start('build.ts'));
    const builds: unknown[] = [];
    // A file that was removed shows in its folder.
    const changed = ['src/main.ts', 'src/cli', 'libs/session/src/index.ts', 'tsconfig.json', 'nest-cli.json'];
    for (const name of changed) {
      const now = new Date();
      await utimes(join(folder, name), now, now);
      builds.push([name, await buildsOf(start('build.ts')), await buildsOf(start('build.ts'))]);
    }

    expect(builds).toEqual(changed.map((name) => [name, 1, 0]));
  }, 120_000);

  it('builds once when two start at once', async () => {
    expect(await buildsOf(start('build.ts'), start('build.ts'))).toBe(1);
  }, 60_000);

  it('waits for a build that runs', async () => {
    const first = start('build.ts');
    await first.says(BUILDING);
    const second = start('build.ts');
    const built = await buildsOf(second);

    expect(built).toBe(0);
    expect(existsSync(join(folder, 'dist/main.js'))).toBe(true);
    expect(await buildsOf(first)).toBe(1);
  }, 60_000);

  it('builds after a build that was killed', async () => {
    await buildsOf(start('build.ts'));
    const killed = start('build.ts', '--always');
    await killed.says(BUILDING);
    killed.kill('SIGSTOP');
    const other = new DatabaseSync(join(folder, 'node_modules/.cache/build-lock.sqlite'), { timeout: 0 });
    expect(() => other.exec('begin exclusive')).toThrow('locked');
    other.close();
    const waiting = start('build.ts');
    killed.kill('SIGKILL');

    expect(await killed.ended()).toBe('SIGKILL');
    expect(await buildsOf(waiting)).toBe(1);
    expect(existsSync(join(folder, 'dist/main.js'))).toBe(true);
  }, 60_000);

  it('builds anew after a build that failed', async () => {
    await writeFile(join(folder, 'src/main.ts'), 'export const demo: string = 1;\n');
    const failed = start('build.ts');
    const code = await failed.ended();
    await writeFile(join(folder, 'src/main.ts'), 'export const demo = () => 1;\n');

    expect(code).toBe(1);
    expect(failed.output + failed.errors).toContain('src/main.ts');
    expect(await buildsOf(start('build.ts'))).toBe(1);
  }, 60_000);

  it('does not come under a program that runs', async () => {
    const endless = `declare const setInterval: any;\nsetInterval(() => undefined, 9_999);\nconsole.log('runs');\n`;
    await writeFile(join(folder, 'src/cli/main.ts'), endless);
    await buildsOf(start('build.ts'));
    const program = start('run.ts', 'dist/cli/main.js');
    await program.says('runs');
    const now = new Date();
    await utimes(join(folder, 'src/main.ts'), now, now);
    const refused = start('build.ts');

    const builds = [await buildsOf(refused)];
    program.kill('SIGTERM');
    await program.ended();
    builds.push(await buildsOf(start('build.ts')));

    expect(builds).toEqual([0, 1]);
    expect(refused.output).toContain('a program runs from what is built');
  }, 60_000);

  describe('of the command line', () => {
    it('comes before the program, and is not told of on its standard output', async () => {
      const cli = start('cli.ts', '1', '20');

      expect(await cli.ended()).toBe(0);
      expect(cli.errors).toContain(BUILDING);
      expect(cli.output).toBe('run with 1 20\n');
    }, 60_000);

    it('does not come when the arguments are refused', async () => {
      await cp(join(root, 'src'), join(folder, 'src'), { recursive: true });
      const cli = start('cli.ts', '9', '1');

      expect(await cli.ended()).toBe(1);
      expect(cli.errors).toContain('Usage: npm run cli');
      expect(cli.errors).not.toContain(BUILDING);
      expect(existsSync(join(folder, 'dist'))).toBe(false);
    }, 60_000);

    it.each(['SIGINT', 'SIGTERM'] as const)(
      'ends with it on %s',
      async (signal) => {
        const cli = start('cli.ts', '1', '20');
        await cli.says(BUILDING, 'errors');
        cli.kill(signal);

        // Not before the pipes are closed, which a build that is left behind would hold.
        expect(await cli.ended()).toBe(signal);
        expect(existsSync(join(folder, 'dist/.built'))).toBe(false);
      },
      60_000,
    );
  });
});
