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

/** What MikroORM makes a pool with. */
export interface DriverOptions {
  readonly onPoolCreated?: (pool: unknown) => unknown;
}

/** Whether a client is a pool of node-postgres. */
export function isPool(client: unknown): client is Pool {
  const { options, connect } = (client ?? {}) as Partial<Pool>;
  return typeof options?.max === 'number' && typeof connect === 'function';
}
