import type { Connection, MikroORM } from '@mikro-orm/core';

import { checkPool } from './pool-seams.js';
import { warnOfLostParameters } from './warn-of-lost-parameters.js';

/** The little of a client of node-postgres that is needed here. */
export interface PoolClient {
  release: (error?: Error | boolean) => void;
  query: (text: unknown, values?: unknown, callback?: unknown) => unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  once(event: 'end' | 'drain', listener: () => void): unknown;
  off(event: 'end' | 'drain', listener: () => void): unknown;
  end: () => Promise<void>;
  /** I: none, T: open, E: open and failed. Null before the first answer. */
  getTransactionStatus?: () => 'I' | 'T' | 'E' | null;
  getTypeParser?: (type: number, format: string) => (value: string) => unknown;
  /** False while a statement runs. */
  readonly readyForQuery?: boolean | null;
  /** Of the server, which is not known before the connection is open. */
  readonly processID?: number | null;
  readonly connection?: {
    readonly stream?: { destroy(): unknown; readonly bytesRead?: number; readonly remoteAddress?: string | undefined };
    parsedStatements?: unknown;
  };
}

/** The little of a pool of node-postgres that is needed here. */
export interface Pool {
  readonly options: {
    max: number;
    min?: number;
    keepAlive?: boolean;
    keepAliveInitialDelayMillis?: number;
    connectionTimeoutMillis?: number;
  };
  /** Private to node-postgres: those that are still opening, too. */
  readonly _clients?: readonly PoolClient[];
  /** The class of its connections. */
  readonly Client?: new (options: unknown) => PoolClient & { connect(): Promise<void> };
  /** What to do where a wait for a connection cannot end. @default to make it larger */
  readonly remedy?: string;
  /** Told of a wait that begins while it has no connection to give. */
  onWait?(wait: { readonly client: Promise<PoolClient>; leave(reason: Error): void }): void;
  end: (...args: unknown[]) => Promise<void>;
  readonly totalCount: number;
  readonly idleCount: number;
  readonly waitingCount: number;
  connect: (...args: unknown[]) => Promise<PoolClient>;
  on(event: 'connect', listener: (client: PoolClient) => void): unknown;
  on(event: 'acquire', listener: (client: PoolClient) => void): unknown;
  on(event: 'release', listener: (error: unknown, client: PoolClient) => void): unknown;
  on(event: 'remove', listener: (client: PoolClient) => void): unknown;
}

interface ConnectionState {
  readonly connected: boolean;
  readonly options: { driverOptions?: unknown };
}

interface DriverOptions {
  readonly onPoolCreated?: (pool: unknown) => unknown;
}

/** Warns of what is missing, and follows what can be followed. */
function isKnownPool(pool: unknown): pool is Pool {
  checkPool(pool);
  return isPool(pool);
}

function isOwners(options: object): boolean {
  return 'selectFrom' in options || 'createDriver' in options;
}

function isPool(client: unknown): client is Pool {
  const { options, connect } = (client ?? {}) as Partial<Pool>;
  return typeof options?.max === 'number' && typeof connect === 'function';
}

/** Asks a connection for its pool. Other drivers than PostgreSQL's have none that we know. */
export async function getPool(connection: Connection): Promise<Pool | undefined> {
  const client = await (connection as { getNativeClient?: () => Promise<unknown> }).getNativeClient?.();
  return isPool(client) ? client : undefined;
}

/**
 * Calls `watch` with every pool that MikroORM makes for this connection, on reconnecting too.
 *
 * @returns whether there is to be one
 */
export async function watchPools(orm: MikroORM, watch: (pool: Pool) => void): Promise<boolean> {
  const { config, driver } = orm;
  const extend = (options: DriverOptions): DriverOptions =>
    isOwners(options)
      ? options // a Kysely instance or dialect, whose pool its owner keeps to himself
      : {
          ...options,
          // Seam: mikro-orm/pool
          onPoolCreated: (pool) => {
            if (isKnownPool(pool)) {
              watch(pool);
            }
            return options.onPoolCreated?.(pool);
          },
        };
  const before: unknown = config.get('driverOptions');
  let isUrlChecked = false;
  const checkUrl = (given: object): void => {
    if (!isUrlChecked && !isOwners(given)) {
      isUrlChecked = true;
      warnOfLostParameters(orm, given);
    }
  };
  const call = (): DriverOptions => {
    const given = (before as () => DriverOptions)();
    checkUrl(given);
    return extend(given);
  };
  if (typeof before !== 'function') {
    checkUrl(before ?? {});
  }
  const driverOptions = typeof before === 'function' ? call : extend(before ?? {});
  config.set('driverOptions', driverOptions);

  // The connection made a copy of the options when it was made, which it drops when it is closed.
  const connection = driver.getConnection('write');
  // Seam: mikro-orm/pool
  const { connected, options } = connection as unknown as ConnectionState;
  options.driverOptions = driverOptions;
  const pool = connected ? await getPool(connection) : undefined;
  if (pool !== undefined) {
    checkPool(pool);
    checkUrl(pool.options);
    watch(pool);
  }
  return typeof before === 'object' && before !== null ? !isOwners(before) : before === undefined;
}
