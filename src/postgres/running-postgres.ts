import { createHash } from 'node:crypto';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { isAlive } from './is-alive.js';

const POLL_MS = 500;

/** A server that another process has started and will stop. */
export interface RunningPostgres {
  /** Connection URL of the database `postgres`. */
  readonly url: string;
  /** Resolves when the server has ended, unless `signal` aborts before. */
  untilGone(signal: AbortSignal): Promise<void>;
}

interface Postmaster {
  readonly pid: number;
  readonly port: number;
  readonly isReady: boolean;
}

/**
 * Finds the embedded server that a keeper runs in a folder. It is neither started nor stopped here.
 *
 * @throws {Error} when there is none
 */
export function findRunningPostgres(folder: string): RunningPostgres {
  const data = findData(folder);
  const postmaster = data === undefined ? undefined : readPostmaster(data);
  if (data === undefined || postmaster?.isReady !== true || !isAlive(postmaster.pid)) {
    throw new Error(
      `No embedded PostgreSQL runs in "${folder}". Run \`npm start\` first, or set DATABASE_URL to use a server of your own.`,
    );
  }
  const { pid, port } = postmaster;
  const password = readFileSync(join(data, 'password'), 'utf8');
  return {
    url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
    async untilGone(signal) {
      while (!signal.aborted && readPostmaster(data)?.pid === pid && isAlive(pid)) {
        await pause(POLL_MS, undefined, { signal }).catch(() => undefined);
      }
    },
  };
}

/** Whether findRunningPostgres() finds one. */
export function hasRunningPostgres(folder: string): boolean {
  const data = findData(folder);
  const postmaster = data === undefined ? undefined : readPostmaster(data);
  return postmaster?.isReady === true && isAlive(postmaster.pid);
}

/**
 * Finds the data folder. It is in another place when the user of the server cannot reach the folder: see
 * server-place.ts.
 */
function findData(folder: string): string | undefined {
  if (!existsSync(folder)) {
    return undefined;
  }
  const hash = createHash('sha256').update(realpathSync(folder)).digest('hex').slice(0, 12);
  return [join(folder, 'data'), join(tmpdir(), `embedded-postgres-${hash}`, 'data')].find((data) =>
    existsSync(join(data, 'postmaster.pid')),
  );
}

/** The lines of the file are: the process id, the folder, the start time, the port, three others, and the state. */
function readPostmaster(data: string): Postmaster | undefined {
  try {
    const lines = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n');
    return { pid: Number(lines[0]), port: Number(lines[3]), isReady: lines[7]?.trim() === 'ready' };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      return undefined;
    }
    throw error;
  }
}
