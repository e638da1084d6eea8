/** The members of a connection of mysql2 that are used here. */
export interface MysqlClient {
  query: (sql: unknown, values?: unknown, callback?: unknown) => unknown;
  /** The process id on the server. */
  readonly threadId?: number;
  destroy(): void;
  on(event: 'error', listener: (error: Error) => void): unknown;
  once(event: 'end', listener: () => void): unknown;
  readonly stream: {
    destroy(error?: Error): unknown;
    once(event: 'close', listener: () => void): unknown;
  };
}

type Answered = (error: Error | null, answer: unknown) => void;

/** The members of a pool of mysql2 that are used here. */
export interface MysqlPool {
  readonly config: { readonly connectionLimit: number };
  getConnection: (callback: (error: Error | null, client?: MysqlClient) => void) => void;
}

/** The bit of `serverStatus` that is set while a transaction is open. */
const IN_TRANSACTION = 1;

/** Follows one connection of mysql2 until it ends. */
export class FollowedClient {
  /** Whether a transaction is open, as the server said last. An answer with rows does not say it. */
  isInTransaction: boolean | undefined;
  /** Called once when the connection ends. */
  onEnd: ((reason: Error) => void) | undefined;
  #loss: Error | undefined;

  constructor(
    private readonly client: MysqlClient,
    private readonly onOver: () => void,
  ) {
    const query = client.query.bind(client);
    // Seam: mysql2/client
    client.query = (sql, values, callback) =>
      typeof callback === 'function' ? query(sql, values, this.#noting(callback as Answered)) : query(sql, values);
    client.on('error', (error) => this.#end(error));
    client.once('end', () => this.#end(lost('the server closed it')));
    client.stream.once('close', () => this.#end(lost('the network ended it')));
  }

  get processId(): number | undefined {
    return this.client.threadId;
  }

  /** Ends the connection. Unlike `destroy()` of mysql2, this fails the running statements. */
  destroy(reason: Error): void {
    this.#loss ??= reason;
    this.client.stream.destroy(reason);
    this.client.destroy();
  }

  #noting(callback: Answered): Answered {
    return (error, answer) => {
      const last: unknown = Array.isArray(answer) ? answer.at(-1) : answer;
      const { serverStatus } = (last ?? {}) as { readonly serverStatus?: unknown };
      if (typeof serverStatus === 'number') {
        this.isInTransaction = (serverStatus & IN_TRANSACTION) !== 0;
      }
      callback(error, answer);
    };
  }

  #end(reason: Error): void {
    this.#loss ??= reason;
    this.isInTransaction = undefined;
    this.onOver();
    const { onEnd } = this;
    this.onEnd = undefined;
    onEnd?.(this.#loss);
  }
}

/** Makes the error of mysql2 for a statement whose connection was lost. */
function lost(how: string): Error {
  return Object.assign(new Error(`Connection lost: ${how}`), { code: 'PROTOCOL_CONNECTION_LOST' });
}
