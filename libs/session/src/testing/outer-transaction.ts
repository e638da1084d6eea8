import type { EventEmitter } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

import { askAside } from '../session/pool/ask-aside.js';
import type { Pool, PoolClient } from '../session/pool/pool.js';

interface Answer {
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}

const BEGIN = `begin;
  select name, setting from pg_settings where source = 'session';
  select from pg_constraint where condeferred limit 1`;
/** A rollback undoes everything but the advisory locks of the session. */
const ROLL_BACK = 'rollback; select pg_advisory_unlock_all()';
const RESET = 'reset all; reset role; set session authorization default';
/** Makes all constraints deferred again that are deferred by default. */
const DEFER = `do $$ begin execute (
  select 'set constraints ' || string_agg(distinct format('%I.%I', nspname, conname), ', ') || ' deferred'
  from pg_constraint join pg_namespace on pg_namespace.oid = connamespace where condeferred
); end $$; `;
const CANCEL_MS = 300;
const CANCEL_ATTEMPTS = 5;

/** The transaction of a test, on a connection of its own. The transactions of the application are savepoints in it. */
export class OuterTransaction {
  /**
   * The `query` of node-postgres, without the watch of this library. The library watches the clients that replace this
   * one.
   */
  readonly #query: PoolClient['query'];
  #savepoints = 0;
  #settings: readonly string[] = [];
  #defer = '';
  readonly #lost = Promise.withResolvers<void>();
  #isLost = false;
  readonly #onEnd = (): void => {
    this.#isLost = true;
    this.#lost.resolve();
  };

  private constructor(
    readonly client: PoolClient,
    private readonly pool: Pool,
  ) {
    const { query } = Object.getPrototypeOf(client) as PoolClient;
    this.#query = query.bind(client);
    this.events.on('end', this.#onEnd);
  }

  static async begin(pool: Pool, connect: () => Promise<PoolClient>): Promise<OuterTransaction> {
    const client = await connect();
    const transaction = new OuterTransaction(client, pool);
    try {
      await transaction.#begin();
    } catch (error) {
      transaction.events.off('end', transaction.#onEnd);
      client.release(true);
      throw error;
    }
    return transaction;
  }

  /** The events of the connection. */
  get events(): EventEmitter {
    return this.client as unknown as EventEmitter;
  }

  /** Resolves when the connection ends. */
  get lost(): Promise<void> {
    return this.#lost.promise;
  }

  get isReady(): boolean {
    return this.client.readyForQuery === true;
  }

  send(text: unknown, values?: unknown): Promise<unknown> {
    return this.#query(text, values) as Promise<unknown>;
  }

  submit(query: unknown): void {
    this.#query(query);
  }

  /** Makes a savepoint, and returns its name. */
  async mark(isReadOnly = false): Promise<string> {
    this.#savepoints += 1;
    const name = `session_test_${this.#savepoints}`;
    await this.send(`savepoint ${name}${isReadOnly ? '; set transaction read only' : ''}`);
    return name;
  }

  /** Replaces a commit: checks the deferred constraints, and keeps the writes since the savepoint. */
  async keep(savepoint: string): Promise<void> {
    await this.send(`set constraints all immediate; ${this.#defer}release savepoint ${savepoint}`);
  }

  async undo(savepoint: string): Promise<void> {
    const undo = (): Promise<unknown> =>
      this.send(`rollback to savepoint ${savepoint}; release savepoint ${savepoint}`);
    // Repeated, because a late cancel request for an earlier statement may have hit the first rollback.
    await undo().catch(undo);
  }

  /**
   * Resets the settings that were made until the end of the transaction, because the transaction of the test goes on.
   */
  async resetSettings(): Promise<void> {
    await this.send([RESET, ...this.#settings].join('; '));
  }

  /** Cancels the running statement. Ends the connection if the server does not answer. */
  async cancel(): Promise<void> {
    for (let attempt = 0; attempt < CANCEL_ATTEMPTS && !this.isReady && !this.#isLost; attempt += 1) {
      await askAside(this.pool, async (aside) => {
        // Seam: pg/client
        await aside.query('select pg_cancel_backend($1)', [this.client.processID]);
      });
      await this.#untilReady();
    }
    if (!this.isReady) {
      this.client.connection?.stream?.destroy();
    }
  }

  async rollBack(): Promise<void> {
    this.events.off('end', this.#onEnd);
    try {
      await this.send(ROLL_BACK);
      this.client.release();
    } catch {
      // The server rolls back the transaction of a lost connection.
      this.client.release(true);
    }
  }

  async #begin(): Promise<void> {
    const [, settings, deferred] = (await this.send(BEGIN)) as [Answer, Answer, Answer];
    this.#settings = settings.rows.map(
      ({ name, setting }) => `select set_config(${toLiteral(name)}, ${toLiteral(setting)}, false)`,
    );
    this.#defer = deferred.rows.length > 0 ? DEFER : '';
  }

  async #untilReady(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timeout = new AbortController();
    this.client.once('drain', resolve);
    this.client.once('end', resolve);
    if (!this.isReady) {
      await Promise.race([promise, delay(CANCEL_MS, undefined, { signal: timeout.signal }).catch(() => undefined)]);
    }
    timeout.abort();
    this.client.off('drain', resolve);
    this.client.off('end', resolve);
  }
}

function toLiteral(value: unknown): string {
  return `'${String(value).replaceAll("'", "''")}'`;
}
