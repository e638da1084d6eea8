import { setTimeout as wait } from 'node:timers/promises';

import { Observer } from './observer.js';

const NAME = 'chaos';
/** The server takes a moment to see that a connection has ended. */
const GONE_MS = 20_000;
const POLL_MS = 50;

/** The queues of a storm, whose jobs are looked at one by one. */
const QUEUES = ['work', 'poison'];

/** A durable job, as its table has it. */
export interface QueuedJob {
  readonly key: string;
  readonly queue: string;
  readonly deed: string;
  /** The key of the mark that was made in the transaction that sent it. */
  readonly lot: string;
  readonly state: 'created' | 'retry' | 'active' | 'completed' | 'cancelled' | 'failed';
  readonly attempts: number;
}

/** The database of a storm, seen from outside. */
export class StormDatabase {
  readonly #observer: Observer;

  private constructor(
    readonly url: string,
    observer: Observer,
  ) {
    this.#observer = observer;
  }

  /** Makes the database, with the table of marks. Nothing in it keeps a second mark of a key away. */
  static async create(serverUrl: string): Promise<StormDatabase> {
    const server = new Observer(serverUrl);
    await server.query(`create database ${NAME}`);
    await server.close();
    const there = new URL(serverUrl);
    there.pathname = `/${NAME}`;
    const url = there.href;
    const observer = new Observer(url);
    await observer.query('create table mark (id serial primary key, key text not null, source text not null)');
    return new StormDatabase(url, observer);
  }

  /** Forgets the marks and the jobs of the round before. */
  async forget(): Promise<void> {
    await this.#observer.query('truncate mark');
    await this.#observer.query('delete from pgboss.job');
  }

  /** How many marks there are of each key that has one. */
  async countMarks(): Promise<Map<string, number>> {
    const rows = await this.#observer.query<{ key: string; count: number }>(
      'select key, count(*)::int as count from mark group by key',
    );
    return new Map(rows.map(({ key, count }) => [key, count]));
  }

  findJobs(): Promise<QueuedJob[]> {
    return this.#observer.query<QueuedJob & Record<string, unknown>>(
      `select data -> 'input' ->> 'key' as key, data -> 'input' ->> 'deed' as deed, data -> 'input' ->> 'lot' as lot,
              name as queue, state::text as state, retry_count + 1 as attempts
         from pgboss.job where name = any($1) order by key`,
      [QUEUES],
    );
  }

  /** The keys in the dead letter queue. */
  async findDeadLetters(): Promise<Set<string>> {
    const rows = await this.#observer.query<{ key: string }>(
      `select data -> 'input' ->> 'key' as key from pgboss.job where name = 'dead'`,
    );
    return new Set(rows.map(({ key }) => key));
  }

  /** The server's processes for the application, those that carry a name of `spared` left out. */
  async findBackends(spared: string): Promise<number[]> {
    const rows = await this.#observer.query<{ pid: number }>(
      `select pid from pg_stat_activity
        where datname = current_database() and application_name <> 'chaos observer' and application_name not like $1 order by pid`,
      [spared],
    );
    return rows.map(({ pid }) => pid);
  }

  async terminate(pid: number): Promise<void> {
    await this.#observer.query('select pg_terminate_backend($1)', [pid]);
  }

  async cancel(pid: number): Promise<void> {
    await this.#observer.query('select pg_cancel_backend($1)', [pid]);
  }

  /** Waits until no application has a connection any more. Describes those that stay. */
  async untilNoConnection(): Promise<string[]> {
    const deadline = Date.now() + GONE_MS;
    for (;;) {
      const rows = await this.#observer.query<{ about: string }>(
        `select concat_ws(' ', application_name, state, left(query, 80)) as about from pg_stat_activity
          where datname = current_database() and application_name <> 'chaos observer'`,
      );
      if (rows.length === 0 || Date.now() > deadline) {
        return rows.map(({ about }) => about);
      }
      await wait(POLL_MS);
    }
  }

  close(): Promise<void> {
    return this.#observer.close();
  }
}
