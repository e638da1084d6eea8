// A separate process, started by embedded-postgres.ts. It starts one PostgreSQL server, and stops it when the channel
// to its parent closes, which also happens when the parent is killed. Its imports name the source files, so that Node
// can run them without a build.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';

import type { Client } from 'pg';

import { endFormerServer, InUseError } from './end-former-server.ts';
import { findPlace, prepare } from './server-place.ts';
import { endServer, findFreePort, startServer } from './start-server.ts';
import { createClient, isUnused } from './join-users.ts';

export interface KeeperOptions {
  /** The folder of the data and the log. Created if it does not exist. */
  readonly folder: string;
  /** Server settings, as in postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Milliseconds to wait for an earlier server that is still stopping. @default 10,000 */
  readonly patience?: number;
  /**
   * Whether other processes can join the server: it stops only when the last one has left. See join-postgres.ts.
   * @default false
   */
  readonly isShared?: boolean;
}

/** The last one says that the server runs on, because others use it. */
export type KeeperMessage =
  | { readonly url: string }
  | { readonly error: string; readonly isInUse?: boolean }
  | { readonly isUsed: true };

const PATIENCE_MS = 10_000;
const POLL_MS = 20;

async function main(): Promise<void> {
  const [options] = (await once(process, 'message')) as [KeeperOptions];
  let server: ChildProcess | undefined;
  let users: Client | undefined;
  const end = Promise.race([once(process, 'disconnect'), once(process, 'message')]);
  try {
    const place = await findPlace(options.folder);
    const password = prepare(place);
    const deadline = Date.now() + (options.patience ?? PATIENCE_MS);
    let port: number;
    do {
      await endFormerServer(place, { password, deadline, isShared: options.isShared ?? false });
      port = await findFreePort();
      server = await startServer(place, port, options.settings ?? {});
    } while (server === undefined);
    const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
    if (options.isShared === true) {
      // Connected now, because users may take all connections later.
      const client = createClient(url);
      await client.connect();
      users = client;
    }
    answer({ url });
  } catch (error) {
    answer({
      error: error instanceof Error ? error.message : String(error),
      isInUse: error instanceof InUseError,
    });
    hangUp();
  }
  await end;
  if (users !== undefined) {
    await untilUnused(users);
  }
  await endServer(server);
  hangUp();
}

function hangUp(): void {
  if (process.connected) {
    process.disconnect();
  }
}

function answer(message: KeeperMessage): void {
  if (process.connected) {
    // Ignores errors: a killed parent needs no answer.
    process.send?.(message, () => undefined);
  }
}

async function untilUnused(client: Client): Promise<void> {
  try {
    if (await isUnused(client)) {
      return;
    }
    answer({ isUsed: true });
    // Otherwise a reader of the parent's output would wait for this process too.
    closeSync(2);
    openSync(devNull, 'w');
    while (!(await isUnused(client))) {
      await pause(POLL_MS);
    }
  } catch {
    // The server has stopped, so that nobody uses it.
  }
}

// Ignores signals, and ends only when the channel closes: a signal to the whole terminal session must not stop the
// server before its clients.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => undefined);
}
await main();
