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

type Answered = (error: Error | null, answer: unknown, fields?: unknown) => void;

/** A statement whose rows are read as a stream. */
interface StreamedQuery {
  on(event: 'end' | 'error', listener: () => void): unknown;
  emit(event: 'error', reason: Error): unknown;
}

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
  readonly #query: MysqlClient['query'];
  /** The statements that are read as streams. mysql2 does not tell them that their connection ends. */
  readonly #streamed = new Set<StreamedQuery>();
  #loss: Error | undefined;

  constructor(
    private readonly client: MysqlClient,
    private readonly onOver: () => void,
  ) {
    this.#query = client.query.bind(client);
    // Seam: mysql2/client
    client.query = (sql, values, callback) =>
      typeof callback === 'function'
        ? this.#query(sql, values, this.#noting(callback as Answered))
        : this.#followStream(this.#query(sql, values) as StreamedQuery);
    client.on('error', (error) => this.#end(error));
    client.once('end', () => this.#end(lost('the server closed it')));
    client.stream.once('close', () => this.#end(lost('the network ended it')));
  }

  get processId(): number | undefined {
    return this.client.threadId;
  }

  /** Asks the server whether a transaction is open, where it is not known: an error does not say it. */
  async learn(): Promise<void> {
    if (this.isInTransaction === undefined && this.#loss === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#query(
        'do 0',
        [],
        this.#noting(() => resolve()),
      );
      await promise;
    }
  }

  /** Ends the connection. Unlike `destroy()` of mysql2, this fails the running statements. */
  destroy(reason: Error): void {
    this.#loss ??= reason;
    this.client.stream.destroy(reason);
    this.client.destroy();
  }

  #noting(callback: Answered): Answered {
    return (error, answer, fields) => {
      const serverStatus = findStatus(answer, fields);
      if (error !== null) {
        this.isInTransaction = undefined;
      } else if (serverStatus !== undefined) {
        this.isInTransaction = (serverStatus & IN_TRANSACTION) !== 0;
      }
      callback(error, answer, fields);
    };
  }

  #followStream(query: StreamedQuery): StreamedQuery {
    const forget = (): void => void this.#streamed.delete(query);
    this.#streamed.add(query);
    query.on('end', forget);
    query.on('error', forget);
    return query;
  }

  #end(reason: Error): void {
    this.#loss ??= reason;
    this.isInTransaction = undefined;
    this.onOver();
    const { onEnd } = this;
    this.onEnd = undefined;
    onEnd?.(this.#loss);
    for (const query of this.#streamed) {
      query.emit('error', this.#loss);
    }
  }
}

/** Finds the status of the server in an answer. Only an answer without columns has one, or the last of several. */
function findStatus(answer: unknown, fields: unknown): number | undefined {
  const header: unknown = Array.isArray(fields) ? (answer as readonly unknown[]).at(-1) : answer;
  const hasColumns = Array.isArray(fields) && fields.at(-1) !== undefined;
  return hasColumns ? undefined : (header as { readonly serverStatus?: number } | undefined)?.serverStatus;
}

/** Makes the error of mysql2 for a statement whose connection was lost. */
function lost(how: string): Error {
  return Object.assign(new Error(`Connection lost: ${how}`), { code: 'PROTOCOL_CONNECTION_LOST' });
}
