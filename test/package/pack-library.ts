import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** Builds the library and packs it as it would be published. Returns the path of the tarball. */
export function packLibrary(folder: string): string {
  const npm = (args: readonly string[], cwd: string): string =>
    execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  npm(['run', 'build', '--silent'], root);
  const name = npm(['pack', '--silent', '--pack-destination', folder], join(root, 'libs/session')).trim();
  return join(folder, name);
}
