import { createHash } from 'node:crypto';
import { chmod, mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { Client } from 'pg';

const PATIENCE_MS = 15_000;

/** The folder of an embedded database, looked at from outside. */
export class EmbeddedServer {
  private constructor(
    readonly folder: string,
    private readonly places: readonly string[],
  ) {}

  static async prepare(): Promise<EmbeddedServer> {
    const folder = await realpath(await mkdtemp(join(tmpdir(), 'demo-')));
    await chmod(folder, 0o711);
    // Where the server lives when its user cannot reach the folder.
    const hash = createHash('sha256').update(folder).digest('hex').slice(0, 12);
    return new EmbeddedServer(folder, [folder, join(tmpdir(), `embedded-postgres-${hash}`)]);
  }

  /** The process that keeps the server, and the server. */
  async pids(): Promise<number[]> {
    const [pid] = (await this.#read('data/postmaster.pid')).split('\n');
    const [, keeper] = /"keeper\.pid=(\d+)"/.exec(await this.#read('data/postmaster.opts')) ?? [];
    return [Number(keeper), Number(pid)];
  }

  async connect(): Promise<Client> {
    const [, , , port] = (await this.#read('data/postmaster.pid')).split('\n');
    const password = await this.#read('data/password');
    const client = new Client(`postgres://postgres:${password}@127.0.0.1:${port}/postgres`);
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  async remove(): Promise<void> {
    await Promise.all(this.places.map((place) => rm(place, { recursive: true, force: true })));
  }

  async #read(file: string): Promise<string> {
    const [here, elsewhere] = await Promise.allSettled(this.places.map((place) => readFile(join(place, file), 'utf8')));
    if (here?.status === 'fulfilled') {
      return here.value;
    }
    if (elsewhere?.status === 'fulfilled') {
      return elsewhere.value;
    }
    throw new Error(`There is no "${file}" of an embedded server`, { cause: here?.reason });
  }
}

export async function untilGone(pids: readonly number[]): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (pids.some((pid) => isAlive(pid))) {
    if (Date.now() > deadline) {
      throw new Error(`Processes were left behind: ${pids.filter((pid) => isAlive(pid)).join(', ')}`);
    }
    await pause(10);
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
