/** The members of a client of node-postgres that are used here. */
export interface PoolClient {
  release: (error?: Error | boolean) => void;
  query: (text: unknown, values?: unknown, callback?: unknown) => unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  once(event: 'end' | 'drain', listener: () => void): unknown;
  off(event: 'end' | 'drain', listener: () => void): unknown;
  end: () => Promise<void>;
  /** The state of the transaction. I: none, T: open, E: open and failed. Null before the first answer. */
  getTransactionStatus?: () => 'I' | 'T' | 'E' | null;
  getTypeParser?: (type: number, format: string) => (value: string) => unknown;
  /** False while a statement runs. */
  readonly readyForQuery?: boolean | null;
  /** Whether it stands for a client of node-postgres, and changes the statements that it is given. */
  readonly isStandIn?: boolean;
  /** The process id on the server. Unknown before the connection is open. */
  readonly processID?: number | null;
  readonly connection?: {
    readonly stream?: { destroy(): unknown; readonly bytesRead?: number; readonly remoteAddress?: string | undefined };
    parsedStatements?: unknown;
  };
}

/** The members of a pool of node-postgres that are used here. */
export interface Pool {
  readonly options: {
    max: number;
    min?: number;
    keepAlive?: boolean;
    keepAliveInitialDelayMillis?: number;
    connectionTimeoutMillis?: number;
  };
  /** Private to node-postgres. All clients, also those that are being opened. */
  readonly _clients?: readonly PoolClient[];
  /** The class of its connections. */
  Client?: new (options: unknown) => PoolClient & { connect(): Promise<void> };
  /** What to do when a wait for a connection can never end, for the error. @default 'make the pool larger' */
  readonly remedy?: string;
  /** Called when a wait begins because no connection is free. */
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

/** The options with which MikroORM makes a pool. */
export interface DriverOptions {
  readonly onPoolCreated?: (pool: unknown) => unknown;
}

/** Whether a client is a pool of node-postgres. */
export function isPool(client: unknown): client is Pool {
  const { options, connect } = (client ?? {}) as Partial<Pool>;
  return typeof options?.max === 'number' && typeof connect === 'function';
}
