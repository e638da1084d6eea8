import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { isServerOf, readIfThere } from './end-former-server.ts';
import { isAlive } from './is-alive.ts';
import { environment, type ServerPlace } from './server-place.ts';

const POLL_MS = 20;

export async function findFreePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Starts a server. Returns undefined when another process was faster. */
export async function startServer(
  { binaries, folder, owner }: ServerPlace,
  port: number,
  settings: Readonly<Record<string, string>>,
): Promise<ChildProcess | undefined> {
  const fixed = { listen_addresses: '127.0.0.1', unix_socket_directories: '', 'keeper.pid': String(process.pid) };
  const all = { ...fixed, ...settings };
  const logFile = join(folder, 'server.log');
  const log = openSync(logFile, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_APPEND, 0o600);
  const data = join(folder, 'data');
  const server = spawn(
    binaries.postgres,
    ['-D', data, '-p', String(port), ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    { ...owner, cwd: folder, env: environment(), stdio: ['ignore', log, log] },
  );
  const failed = once(server, 'error').then(([error]: unknown[]) => {
    throw error;
  });
  const isReady = await Promise.race([untilReady(server, join(data, 'postmaster.pid')), failed]);
  if (isReady) {
    return server;
  }
  const pid = Number.parseInt(readIfThere(join(data, 'postmaster.pid')) ?? '', 10);
  if (isAlive(pid) && isServerOf(data, pid)) {
    return undefined;
  }
  throw new Error(`PostgreSQL did not start. Its log says:\n${readFileSync(logFile, 'utf8')}`);
}

/**
 * Waits until the eighth line of postmaster.pid says that the server is ready, as pg_ctl does. Returns `false` when the
 * server has ended.
 */
async function untilReady(server: ChildProcess, pidFile: string): Promise<boolean> {
  while (server.exitCode === null && server.signalCode === null) {
    const lines = (readIfThere(pidFile) ?? '').split('\n');
    if (Number(lines[0]) === server.pid && lines[7]?.trim() === 'ready') {
      return true;
    }
    await pause(POLL_MS);
  }
  return false;
}

/** Requests a fast shutdown: open transactions are rolled back, clients are disconnected. */
export async function endServer(server: ChildProcess | undefined): Promise<void> {
  if (server === undefined || server.exitCode !== null || server.signalCode !== null) {
    return;
  }
  const ended = once(server, 'exit');
  server.kill('SIGINT');
  await ended;
}
