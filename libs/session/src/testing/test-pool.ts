import { EventEmitter } from 'node:events';

import type { ConnectionWait } from '../session/pool/connection-queue.js';
import type { Pool, PoolClient } from '../session/pool/pool.js';
import { SessionStateError } from '../session/session-error.js';
import type { OuterTransaction } from './outer-transaction.js';
import { TestClient } from './test-client.js';

/** Milliseconds without a statement after which a transaction may not keep others waiting. */
const PATIENCE_MS = 2_000;
const LOOK_MS = 100;

/**
 * A pool of one connection, which is in the transaction of a test. Each client that it returns behaves like a new
 * connection.
 */
export class TestPool extends EventEmitter implements Pool {
  readonly remedy = 'commit it before, since all sessions of a test share one connection';
  readonly options: Pool['options'];
  readonly Client?: NonNullable<Pool['Client']>;
  readonly idleCount = 0;
  waitingCount = 0;
  totalCount = 0;
  readonly #outer: OuterTransaction;
  #out: TestClient | undefined;
  #finishing: Promise<void> = Promise.resolve();
  #isEnded = false;

  constructor(outer: OuterTransaction, { options, Client }: Pool) {
    super();
    this.#outer = outer;
    this.options = { ...options, max: 1, min: 0, connectionTimeoutMillis: 0 };
    if (Client !== undefined) {
      this.Client = Client;
    }
  }

  get _clients(): readonly PoolClient[] {
    return this.#out === undefined ? [] : [toPoolClient(this.#out)];
  }

  /** Called for one waiting caller at a time. */
  async connect(): Promise<PoolClient> {
    if (this.#isEnded) {
      throw new SessionStateError(
        'A connection was asked for by work whose test has been rolled back. Await all work that a test begins.',
      );
    }
    const client = new TestClient(this.#outer, (one) => this.#takeBack(one));
    this.#out = client;
    this.totalCount = 1;
    this.emit('connect', client);
    this.emit('acquire', client);
    return toPoolClient(client);
  }

  /** Gives up a wait for an idle transaction: it may be waiting for this very caller. */
  onWait({ client, leave }: ConnectionWait<PoolClient>): void {
    const since = performance.now();
    const timer = setInterval(() => {
      const idle = Math.min(this.#out?.idleFor ?? 0, performance.now() - since);
      if (idle >= PATIENCE_MS) {
        leave(
          new SessionStateError(
            'A wait for a connection was given up: another session of the test has a transaction open in which no statement ' +
              `ran for ${Math.round(idle)} ms. All sessions of a test share one connection: end the transaction before ` +
              'you wait for a request or a job.',
          ),
        );
      }
    }, LOOK_MS);
    const stop = (): void => clearInterval(timer);
    client.then(stop, stop);
  }

  /** Ends the work that still runs. */
  async end(): Promise<void> {
    this.#isEnded = true;
    void this.#out?.end();
    this.#out?.release();
    await this.#finishing;
  }

  #takeBack(client: TestClient): void {
    this.emit('release', undefined, client);
    this.#finishing = client
      .finish()
      // Ignored: the next user of the connection gets the error.
      .catch(() => undefined)
      .then(() => {
        this.#out = undefined;
        this.totalCount = 0;
        this.emit('remove', client);
      });
  }
}

function toPoolClient(client: TestClient): PoolClient {
  return client as unknown as PoolClient;
}
