import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { Client } from 'pg';

import { isAlive } from './is-alive.ts';
import type { ServerPlace } from './server-place.ts';

const POLL_MS = 20;

/** Another process runs a server in the folder. */
export class InUseError extends Error {}

interface Former {
  readonly password: string;
  readonly deadline: number;
  /** Whether the server can be joined. Then nobody waits for its end. */
  readonly isShared: boolean;
}

/** Waits for an earlier server that is still stopping, and stops one whose keeper was killed. */
export async function endFormerServer(
  { folder }: ServerPlace,
  { password, deadline, isShared }: Former,
): Promise<void> {
  const data = join(folder, 'data');
  const pidFile = join(data, 'postmaster.pid');
  let keeper: number | undefined;
  while (existsSync(pidFile)) {
    const [pid, , , port] = readFileSync(pidFile, 'utf8').split('\n').map(Number);
    if (pid === undefined || !isAlive(pid)) {
      return;
    }
    if (!isServerOf(data, pid)) {
      rmSync(pidFile, { force: true });
      return;
    }
    keeper = (await askForKeeper(port, password)) ?? keeper;
    if (keeper !== undefined && !isAlive(keeper)) {
      process.kill(pid, 'SIGINT');
      await untilGone(pid, deadline);
      return;
    }
    if (Date.now() > deadline || (isShared && keeper !== undefined)) {
      throw new InUseError(
        `The PostgreSQL server in "${folder}" is in use by another process (its keeper is ${keeper ?? 'unknown'}). ` +
          'Stop that one first, or set DATABASE_URL to use a server of your own.',
      );
    }
    await pause(POLL_MS);
  }
}

/** Returns the process id of the keeper of a server, or `undefined` while the server does not answer. */
async function askForKeeper(port: number | undefined, password: string): Promise<number | undefined> {
  const client = new Client({ host: '127.0.0.1', port, user: 'postgres', password, database: 'postgres' });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ keeper: string | null }>(`select current_setting('keeper.pid', true) keeper`);
    return Number(rows[0]?.keeper ?? 0);
  } catch {
    // The server is starting or stopping: the caller asks again until the deadline.
    return undefined;
  } finally {
    await client.end();
  }
}

async function untilGone(pid: number, deadline: number): Promise<void> {
  while (isAlive(pid)) {
    if (Date.now() > deadline) {
      throw new Error(`The former PostgreSQL server, process ${pid}, does not end.`);
    }
    await pause(POLL_MS);
  }
}

/**
 * Whether a process is a server of this folder. After a restart of the machine or container, another process may have
 * its id.
 */
export function isServerOf(data: string, pid: number): boolean {
  const args = existsSync('/proc/self/cmdline')
    ? readIfThere(`/proc/${pid}/cmdline`)
    : spawnSync('ps', ['-ww', '-o', 'args=', '-p', String(pid)], { encoding: 'utf8' }).stdout;
  return args?.includes(data) ?? false;
}

export function readIfThere(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}
