import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { type EmbeddedPostgres, startEmbeddedPostgres } from '../src/postgres/embedded-postgres.js';
import { Observer } from './observer.js';

/** Where no system takes the local port of a connection from: nobody else gets the port while the server is down. */
const PORTS = { from: 20_000, to: 30_000 };

/** `fast` says goodbye to its clients. `crash` ends without a word, and recovers from its log. */
export type Restart = 'fast' | 'crash';

/** The PostgreSQL server of a run, which comes back at the same place. */
export class Server {
  readonly #folder: string;
  readonly #port: number;
  #running: EmbeddedPostgres;

  private constructor(folder: string, port: number, running: EmbeddedPostgres) {
    this.#folder = folder;
    this.#port = port;
    this.#running = running;
  }

  static async start(): Promise<Server> {
    const folder = await mkdtemp(join(tmpdir(), 'nestjs-mikro-session-chaos-'));
    // Lets the user that PostgreSQL runs as, when this one is root, pass.
    await chmod(folder, 0o711);
    const port = await findPort();
    return new Server(folder, port, await start(folder, port));
  }

  get url(): string {
    return this.#running.url;
  }

  async restart(how: Restart): Promise<void> {
    if (how === 'crash') {
      const observer = new Observer(this.url);
      const [row] = await observer.query<{ pid: number }>(
        `select split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int as pid`,
      );
      process.kill(row?.pid ?? 0, 'SIGQUIT');
      await observer.close();
    }
    await this.#running.stop();
    this.#running = await start(this.#folder, this.#port);
  }

  async remove(): Promise<void> {
    const observer = new Observer(this.url);
    const [row] = await observer.query<{ data: string }>(`select current_setting('data_directory') as data`);
    await observer.close();
    await this.#running.stop();
    // The keeper may have chosen another place than the one it was told.
    const places = [this.#folder, dirname(row?.data ?? this.#folder)];
    await Promise.all(places.map((place) => rm(place, { recursive: true, force: true })));
  }
}

function start(folder: string, port: number): Promise<EmbeddedPostgres> {
  const settings = {
    port: String(port),
    // A crash of the server alone loses nothing without it.
    fsync: 'off',
    max_connections: '200',
    // As docs/durable-jobs.md advises: what is frozen between completion and commit holds nobody up.
    idle_in_transaction_session_timeout: '20s',
  };
  return startEmbeddedPostgres({ folder, settings }).then(({ url, stop }) => {
    const there = new URL(url);
    there.port = String(port);
    return { url: there.href, stop };
  });
}

async function findPort(): Promise<number> {
  for (let port = PORTS.from + (process.pid % 1_000); port < PORTS.to; port += 1) {
    const probe = createServer().listen(port, '127.0.0.1');
    const isFree = await Promise.race([
      once(probe, 'listening').then(() => true),
      once(probe, 'error').then(() => false),
    ]);
    if (isFree) {
      probe.close();
      await once(probe, 'close');
      return port;
    }
  }
  throw new Error(`No port between ${PORTS.from} and ${PORTS.to} is free`);
}
