import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Cell } from './cell.ts';
import { runProgram } from './run-program.ts';

const INSTALL_MS = 240_000;

/**
 * Installs the packages of an application.
 *
 * @throws {Error} where a peer of a package is missing or is another one than it needs
 */
export async function installApp({ manager = 'npm' }: Cell, folder: string): Promise<void> {
  const npm = (...args: string[]): Promise<string> =>
    runProgram('npm', [...args], { cwd: folder, timeout: INSTALL_MS, env: { CI: 'true' } });
  switch (manager) {
    case 'npm':
      await npm('install', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error');
      return;
    case 'pnpm':
      await npm(
        'exec',
        '--yes',
        '--package=pnpm@10',
        '--',
        'pnpm',
        'install',
        '--config.strict-peer-dependencies=true',
      );
      return;
    case 'yarn': {
      writeFileSync(join(folder, '.yarnrc.yml'), 'nodeLinker: node-modules\nenableImmutableInstalls: false\n');
      writeFileSync(join(folder, 'yarn.lock'), '');
      const output = await npm('exec', '--yes', '--package=@yarnpkg/cli-dist@4', '--', 'yarn', 'install');
      const complaints = output.split('\n').filter((line) => /YN0002|YN0060|YN0086/.test(line));
      if (complaints.length > 0) {
        throw new Error(`Yarn complains of peers:\n${complaints.join('\n')}`);
      }
      return;
    }
  }
}
