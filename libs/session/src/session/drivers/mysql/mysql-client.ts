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

/** A statement of mysql2 whose answer comes as events. */
interface MysqlQuery {
  readonly onResult?: unknown;
  once(event: 'end', listener: () => void): unknown;
  emit(event: 'error', error: Error): boolean;
  listenerCount(event: 'error'): number;
}

type Answered = (error: Error | null, answer?: unknown, fields?: unknown) => void;

/** The members of a pool of mysql2 that are used here. */
export interface MysqlPool {
  readonly config: { readonly connectionLimit: number };
  getConnection: (callback: (error: Error | null, client?: MysqlClient) => void) => void;
}

/** The bit of `serverStatus` that is set while a transaction is open. */
const IN_TRANSACTION = 1;

/** Follows one connection of mysql2 until it ends. */
export class FollowedClient {
  /** Whether a transaction is open, as the server said last. Neither rows nor an error say it. */
  isInTransaction: boolean | undefined;
  /** Called once when the connection ends. */
  onEnd: ((reason: Error) => void) | undefined;
  /** The running statements without a callback, which mysql2 does not tell of a loss. */
  readonly #streamed = new Set<MysqlQuery>();
  #loss: Error | undefined;

  constructor(
    private readonly client: MysqlClient,
    private readonly onOver: () => void,
  ) {
    const query = client.query.bind(client);
    // Seam: mysql2/client
    client.query = (sql, values, callback) =>
      typeof callback === 'function'
        ? query(sql, values, this.#noting(callback as Answered))
        : this.#keep(query(sql, values) as MysqlQuery);
    client.on('error', (error) => this.#end(error));
    client.once('end', () => this.#end(lost('the server closed it')));
    client.stream.once('close', () => this.#end(lost('the network ended it')));
  }

  get processId(): number | undefined {
    return this.client.threadId;
  }

  /** Asks the server whether a transaction is open. What fails the question ends the connection, which tells it. */
  refresh(): Promise<void> {
    return new Promise((resolve) => {
      this.client.query('do 0', [], () => resolve());
    });
  }

  /** Ends the connection. Unlike `destroy()` of mysql2, this fails the running statements. */
  destroy(reason: Error): undefined {
    this.#loss ??= reason;
    this.client.stream.destroy(reason);
    this.client.destroy();
  }

  #keep(command: MysqlQuery): MysqlQuery {
    if (command.onResult === undefined) {
      this.#streamed.add(command);
      command.once('end', () => this.#streamed.delete(command));
      if (this.#loss !== undefined) {
        // Its stream is made in this turn of the event loop.
        process.nextTick(() => this.#failStreamed());
      }
    }
    return command;
  }

  #failStreamed(): void {
    const loss = this.#loss as Error;
    const failing = [...this.#streamed].filter((command) => command.listenerCount('error') > 0);
    this.#streamed.clear();
    failing.forEach((command) => command.emit('error', loss));
  }

  #noting(callback: Answered): Answered {
    return (error, answer, fields) => {
      this.#note(error, answer, fields);
      callback(error, answer, fields);
    };
  }

  /** Reads the last result of an answer. Rows have fields. */
  #note(error: Error | null, answer: unknown, fields: unknown): void {
    if (error !== null) {
      this.isInTransaction = undefined;
      return;
    }
    const last: unknown = Array.isArray(fields) ? fields.at(-1) : fields;
    if (last === undefined) {
      const header: unknown = Array.isArray(answer) ? answer.at(-1) : answer;
      const { serverStatus } = (header ?? {}) as { readonly serverStatus?: unknown };
      if (typeof serverStatus === 'number') {
        this.isInTransaction = (serverStatus & IN_TRANSACTION) !== 0;
      }
    }
  }

  #end(reason: Error): void {
    this.#loss ??= reason;
    this.isInTransaction = undefined;
    this.onOver();
    const { onEnd } = this;
    this.onEnd = undefined;
    onEnd?.(this.#loss);
    this.#failStreamed();
  }
}

/** Makes the error of mysql2 for a statement whose connection was lost. */
function lost(how: string): Error {
  return Object.assign(new Error(`Connection lost: ${how}`), { code: 'PROTOCOL_CONNECTION_LOST' });
}
