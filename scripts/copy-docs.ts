// Before the library is packed: puts what it shares with the project beside it, so that it is in the package.
import { cpSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const library = join(root, 'libs', 'session');
/** The site and its API reference are not for reading as files. */
const LEFT_OUT = new Set(['.vitepress', 'api']);

rmSync(join(library, 'docs'), { recursive: true, force: true });
cpSync(join(root, 'docs'), join(library, 'docs'), { recursive: true, filter: (path) => !LEFT_OUT.has(basename(path)) });
cpSync(join(root, 'CHANGELOG.md'), join(library, 'CHANGELOG.md'));
