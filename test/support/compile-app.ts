import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, cp, glob, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { transformFile } from '@swc/core';

const root = fileURLToPath(new URL('../..', import.meta.url));

const jsc = {
  target: 'es2024',
  parser: { syntax: 'typescript', decorators: true },
  transform: { legacyDecorator: true, decoratorMetadata: true },
  rewriteRelativeImportExtensions: true,
} as const;

/**
 * Compiles an application and the library into a folder of their own, which `npm run build` does not touch. It lies
 * within `node_modules`, so that Node finds the packages from there. One build serves all files of a run: each gets a
 * copy. Returns the folder.
 *
 * @param folders the folders of the application, from the root of the project, and where in that folder they go
 */
export async function compileApp(folders: Readonly<Record<string, string>>): Promise<string> {
  const builds = join(root, 'node_modules', '.cache', `builds-${process.env['TEST_RUN']}`);
  const name = createHash('sha256').update(JSON.stringify(folders)).digest('hex').slice(0, 12);
  const build = join(builds, name);
  await mkdir(builds, { recursive: true });
  if (!existsSync(build)) {
    await putInPlace(await compileAll(folders, builds), build);
  }
  const folder = await mkdtemp(join(builds, 'app-'));
  await cp(build, folder, { recursive: true });
  return folder;
}

/** Keeps the build that is there when another file of the run was faster. */
async function putInPlace(draft: string, build: string): Promise<void> {
  try {
    await rename(draft, build);
  } catch (error) {
    if (!existsSync(build)) {
      throw error;
    }
    await rm(draft, { recursive: true });
  }
}

async function compileAll(folders: Readonly<Record<string, string>>, builds: string): Promise<string> {
  const folder = await mkdtemp(join(builds, 'draft-'));
  const library = join(folder, 'node_modules', 'nestjs-mikro-session');
  for (const [from, to] of Object.entries(folders)) {
    await compile(join(root, from), join(folder, to));
  }
  await compile(join(root, 'libs', 'session', 'src'), join(library, 'dist'));
  await copyFile(join(root, 'libs', 'session', 'package.json'), join(library, 'package.json'));
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  return folder;
}

async function compile(from: string, to: string): Promise<void> {
  for await (const file of glob('**/*.ts', { cwd: from })) {
    const { code } = await transformFile(join(from, file), { swcrc: false, jsc, module: { type: 'es6' } });
    const target = join(to, file.replace(/\.ts$/, '.js'));
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, code);
  }
  for await (const file of glob('page/*.{html,css,js,svg}', { cwd: from })) {
    await mkdir(dirname(join(to, file)), { recursive: true });
    await copyFile(join(from, file), join(to, file));
  }
}
