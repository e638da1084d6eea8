import { once } from 'node:events';
import { createServer } from 'node:net';

import type { Client, QueryResultRow } from 'pg';

import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../src/postgres/embedded-postgres.js';
import { EmbeddedServer, untilGone } from '../../demo/support/embedded-server.js';
import { poll } from '../../support/poll.js';
import { HOLD } from './worker-app/effect-handler.js';

/** Where no system takes the local port of a connection from: nobody else gets the port while the server is down. */
const PORTS = { from: 20_000, to: 30_000 };

/** A PostgreSQL server of its own for a test that takes it away, at the same place before and after. */
export class RestartableServer {
  readonly #files: EmbeddedServer;
  readonly #port: number;
  #running: EmbeddedPostgres;
  #client: Client;

  private constructor(files: EmbeddedServer, port: number, running: EmbeddedPostgres, client: Client) {
    this.#files = files;
    this.#port = port;
    this.#running = running;
    this.#client = client;
  }

  static async start(): Promise<RestartableServer> {
    const files = await EmbeddedServer.prepare();
    const port = await findPort();
    const running = await start(files, port);
    return new RestartableServer(files, port, running, await files.connect());
  }

  get url(): string {
    const url = new URL(this.#running.url);
    url.port = String(this.#port);
    return url.href;
  }

  async query<Row extends QueryResultRow>(sql: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.#client.query<Row>(sql, values)).rows;
  }

  /** Polls until the query gives `true` in its first column. */
  until(sql: string, values: unknown[] = []): Promise<void> {
    return poll(sql, async () => Object.values((await this.query(sql, values))[0] ?? {})[0] === true);
  }

  /** Holds the jobs that wait for a lock. The restart ends that. */
  async hold(): Promise<void> {
    await this.query('select pg_advisory_lock($1)', [HOLD]);
  }

  /** Ends the server as a crash would, without a word to its clients, and starts it again. */
  async restart(): Promise<void> {
    const pids = await this.#files.pids();
    process.kill(pids[1] ?? 0, 'SIGQUIT');
    await untilGone(pids.slice(1));
    await this.#client.end();
    await this.#running.stop();
    this.#running = await start(this.#files, this.#port);
    this.#client = await this.#files.connect();
  }

  async remove(): Promise<void> {
    await this.#client.end();
    await this.#running.stop();
    await this.#files.remove();
  }
}

function start(files: EmbeddedServer, port: number): Promise<EmbeddedPostgres> {
  return startEmbeddedPostgres({ folder: files.folder, settings: { port: String(port), fsync: 'off' } });
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
