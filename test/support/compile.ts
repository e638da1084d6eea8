import { copyFile, glob, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { transformFile } from '@swc/core';

const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Compiles the library and some folders of the workspace into a folder of their own, which `npm run build` does not touch.
 * It lies within `node_modules`, so that Node finds the packages from there. Gives the folder.
 *
 * @param folders where each folder goes
 */
export async function compile(folders: Readonly<Record<string, string>>): Promise<string> {
  const cache = join(root, 'node_modules', '.cache');
  await mkdir(cache, { recursive: true });
  const folder = await mkdtemp(join(cache, 'compiled-'));
  const library = join(folder, 'node_modules', 'nestjs-mikro-session');
  await compileFolder(join(root, 'libs', 'session', 'src'), join(library, 'dist'));
  await copyFile(join(root, 'libs', 'session', 'package.json'), join(library, 'package.json'));
  for (const [from, to] of Object.entries(folders)) {
    await compileFolder(join(root, from), join(folder, to));
  }
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  return folder;
}

async function compileFolder(from: string, to: string): Promise<void> {
  for await (const file of glob('**/*.ts', { cwd: from })) {
    const { code } = await transformFile(join(from, file), {
      swcrc: false,
      jsc: {
        target: 'es2024',
        parser: { syntax: 'typescript', decorators: true },
        transform: { legacyDecorator: true, decoratorMetadata: true },
      },
      module: { type: 'es6' },
    });
    const target = join(to, file.replace(/\.ts$/, '.js'));
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, code);
  }
}
