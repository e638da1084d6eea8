import type { Connection, MikroORM } from '@mikro-orm/core';

import type { SessionSource } from '../session/session-source.js';
import { getPool } from '../session/pool/get-pool.js';
import type { Pool, PoolClient } from '../session/pool/pool.js';
import { SessionSetupError, SessionStateError } from '../session/session-error.js';
import { OuterTransaction } from './outer-transaction.js';
import { TestPool } from './test-pool.js';

type Connect = Pool['connect'];
type Callback = (error: unknown, client?: PoolClient, release?: PoolClient['release']) => void;

interface Test {
  readonly outer: OuterTransaction;
  readonly pool: TestPool;
}

/** One connection of MikroORM. While a test is open, its pools return only the connection of the test. */
export class TestConnection {
  readonly #pools: Map<Pool, Connect>;
  readonly #main: Pool;
  #test: Test | undefined;

  private constructor(
    readonly source: SessionSource,
    main: Pool,
    replicas: readonly Pool[],
  ) {
    this.#main = main;
    this.#pools = new Map([main, ...replicas].map((pool) => [pool, pool.connect]));
  }

  static async create(source: SessionSource): Promise<TestConnection> {
    const { orm } = source;
    const main = await getPool(orm.driver.getConnection('write'));
    const replicas = await findReplicas(orm);
    if (main === undefined || !source.connections.pools.includes(main) || replicas.includes(undefined)) {
      throw new SessionSetupError(
        `SessionTesting found no pool of connections that MikroORM has made for the connection "${orm.em.name}". It works ` +
          'with @mikro-orm/postgresql, and with a pool of its own.',
      );
    }
    return new TestConnection(
      source,
      main,
      replicas.filter((pool) => pool !== undefined),
    );
  }

  async begin(): Promise<void> {
    const main = this.#main;
    const connect = this.#pools.get(main) as Connect;
    const outer = await OuterTransaction.begin(main, () => connect.call(main));
    const pool = new TestPool(outer, main);
    this.source.connections.follow(pool);
    this.#test = { outer, pool };
    this.source.isInTest = true;
    this.#redirect(() => pool.connect());
  }

  /** Returns no more connections, and ends the work that still runs on that of the test. */
  async stop(): Promise<void> {
    this.#redirect(async () => {
      throw new SessionStateError(
        'A connection was asked for between two tests: SessionTesting has rolled back one, and has not begun the next. Await ' +
          'all work that a test begins, and call SessionTesting.end() before work that has to be committed.',
      );
    });
    await this.#test?.pool.end();
  }

  async rollBack(): Promise<void> {
    await this.#test?.outer.rollBack();
    this.#test = undefined;
  }

  /** Lets the application use its own connections again. */
  restore(): void {
    this.source.isInTest = false;
    this.#pools.forEach((connect, pool) => {
      pool.connect = connect;
    });
  }

  #redirect(connect: () => Promise<PoolClient>): void {
    for (const pool of this.#pools.keys()) {
      // Seam: pg/pool
      pool.connect = (...args) => {
        const client = connect();
        const [callback] = args as [Callback?];
        if (callback !== undefined) {
          void tell(client, callback);
        }
        return client;
      };
    }
  }
}

/**
 * Finds the pools of the read replicas. They must use the connection of the test too: only there are its writes
 * visible.
 */
async function findReplicas({ driver, config }: MikroORM): Promise<(Pool | undefined)[]> {
  // Seam: mikro-orm/replicas
  const { replicas = [] } = driver as unknown as { readonly replicas?: readonly Connection[] };
  const wanted = config.get('replicas')?.length ?? 0;
  return Promise.all(Array.from({ length: wanted }, async (_, nth) => replicas[nth] && getPool(replicas[nth])));
}

/** Calls the callback of connect() as the pool of node-postgres does. */
async function tell(client: Promise<PoolClient>, callback: Callback): Promise<void> {
  let connected: PoolClient;
  try {
    connected = await client;
  } catch (error) {
    callback(error);
    return;
  }
  callback(undefined, connected, (error) => connected.release(error));
}
