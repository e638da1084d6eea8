// Bundles the page of the inspector, which the library serves as it is.
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { build } from 'esbuild';

import { renderGuide } from './render-guide.ts';

const root = join(import.meta.dirname, '..');
const sources = join(root, 'libs/session/src/inspector/page');
const target = join(root, 'libs/session/page');

/** Writes the files of the page, all at once. */
export async function buildPage(): Promise<void> {
  const folder = `${target}-${process.pid}`;
  await build({
    entryPoints: [join(sources, 'page.tsx'), join(sources, 'page.css')],
    outdir: folder,
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'inline',
    logLevel: 'warning',
  });
  await writeFile(join(folder, 'troubleshooting.html'), await renderGuide(join(root, 'docs/troubleshooting.md')));
  await rm(target, { recursive: true, force: true });
  await rename(folder, target);
}
