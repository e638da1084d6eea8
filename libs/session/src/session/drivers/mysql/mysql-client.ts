/** The little of a connection of mysql2 that is needed here. */
export interface MysqlClient {
  query: (sql: unknown, values?: unknown, callback?: unknown) => unknown;
  destroy(): void;
  on(event: 'error', listener: (error: Error) => void): unknown;
  once(event: 'end', listener: () => void): unknown;
  readonly stream: {
    destroy(error?: Error): unknown;
    once(event: 'close', listener: () => void): unknown;
  };
}

type Answered = (error: Error | null, answer: unknown) => void;

/** The little of a pool of mysql2 that is needed here. */
export interface MysqlPool {
  readonly config: { readonly connectionLimit: number };
  getConnection: (callback: (error: Error | null, client?: MysqlClient) => void) => void;
}

/** The bit of `serverStatus` that tells of an open transaction. */
const IN_TRANSACTION = 1;

/** Follows one connection of mysql2, as long as there is one. */
export class FollowedClient {
  /** Whether a transaction is open on it, as the server said last: an answer with rows does not tell. */
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

  /** Unlike `destroy()` of mysql2, fails what is under way on it. */
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

/** As mysql2 says it of a statement that was under way. */
function lost(how: string): Error {
  return Object.assign(new Error(`Connection lost: ${how}`), { code: 'PROTOCOL_CONNECTION_LOST' });
}
