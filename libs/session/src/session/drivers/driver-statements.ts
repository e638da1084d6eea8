import type { ConnectionUse } from '../pool/connection-use.js';
import { readAfterEnd } from '../pool/portal.js';
import { endedByStatement } from '../pool/unexpected-end.js';
import { SessionStateError } from '../session-error.js';
import type { DriverKnowledge } from './driver-knowledge.js';
import type { CompiledQuery, KyselyConnection } from './kysely-driver.js';
import type { NativeLink } from './native-link.js';

/** The members of the lease that statements need. */
interface StatementLease {
  readonly connection: KyselyConnection;
  readonly knowledge: DriverKnowledge;
  readonly link: Pick<NativeLink, 'isInTransaction'>;
  readonly use: ConnectionUse;
  readonly transaction: { readonly isOpen: boolean; readonly isAborted: boolean };
  readonly over: Promise<void>;
  whileAlive<Result>(work: () => Promise<Result>): Promise<Result>;
  send<Answer>(send: () => Promise<Answer>, statement?: string): Promise<Answer>;
  destroy(reason: Error): void;
  assertUsable(): void;
}

/** Sees and checks each statement that is sent on one connection of a driver. */
export class DriverStatements {
  /** The connection object for Kysely. It refuses statements when the connection has been given back. */
  readonly handle: KyselyConnection;
  readonly #streams = new Set<AsyncIterableIterator<unknown>>();
  #isChanged = false;

  constructor(private readonly lease: StatementLease) {
    const { connection } = lease;
    const { cancelQuery, collectSessionInfo, killSession } = connection;
    this.handle = {
      executeQuery: (query, options) => this.#run(query, () => connection.executeQuery(query, options)),
      streamQuery: (query, chunkSize, options) =>
        this.#read(query, () => connection.streamQuery(query, chunkSize, options)),
      // Sessions with a signal need this method. A driver whose statements block the process cannot cancel them.
      cancelQuery: async (control) => cancelQuery?.call(connection, control),
      ...(collectSessionInfo && { collectSessionInfo: () => collectSessionInfo.call(connection) }),
      ...(killSession && { killSession: (control) => killSession.call(connection, control) }),
    };
  }

  /** Whether a statement has changed the connection for longer than a transaction. */
  get haveChanged(): boolean {
    return this.#isChanged;
  }

  /**
   * Closes the streams that are half read: the database takes no other statement before.
   *
   * @returns when they are closed. Undefined where there is none
   */
  closeStreams(): Promise<unknown> | undefined {
    if (this.#streams.size === 0) {
      return undefined;
    }
    const closing = [...this.#streams].map(async (stream) => stream.return?.());
    this.#streams.clear();
    return Promise.allSettled(closing);
  }

  async #run(query: CompiledQuery, send: () => Promise<unknown>): Promise<unknown> {
    this.#assertAllowed(query);
    const answer = await this.#send(send, query);
    this.#assertStillOpen();
    return answer;
  }

  async #send<Answer>(send: () => Promise<Answer>, query: CompiledQuery): Promise<Answer> {
    try {
      return await this.lease.send(send, query.sql);
    } catch (error) {
      this.#assertStillOpen({ cause: error });
      throw error;
    }
  }

  /** @throws {SessionStateError} when a statement has ended the transaction */
  #assertStillOpen(options?: ErrorOptions): void {
    const { link, transaction, use } = this.lease;
    const isOpen = transaction.isOpen && !transaction.isAborted && use.transaction !== undefined;
    if (isOpen && link.isInTransaction === false) {
      const error = endedByStatement(use.label, options);
      this.lease.destroy(error);
      throw error;
    }
  }

  async *#read(
    query: CompiledQuery,
    open: () => AsyncIterableIterator<unknown>,
  ): AsyncGenerator<unknown, void, undefined> {
    this.#assertAllowed(query);
    const stream = open();
    this.#streams.add(stream);
    try {
      for (;;) {
        if (!this.#streams.has(stream)) {
          throw readAfterEnd();
        }
        const next = await this.#send(() => this.lease.whileAlive(() => stream.next()), query);
        if (next.done === true) {
          return;
        }
        yield next.value;
      }
    } finally {
      this.#streams.delete(stream);
      // The stream of a connection that has ended may never answer.
      await Promise.race([stream.return?.(), this.lease.over]);
    }
  }

  /** @throws {SessionError} for a statement that cannot run, or would end the transaction */
  #assertAllowed({ sql }: CompiledQuery): void {
    const { knowledge, transaction, use } = this.lease;
    this.lease.assertUsable();
    if (this.#streams.size > 0) {
      throw new SessionStateError(
        `A statement of "${use.label}" came while a stream of its transaction was half read, which keeps the ` +
          'connection to itself. Read the stream to its end first, or leave its loop with break.',
      );
    }
    this.#isChanged ||= knowledge.changesConnection(sql);
    if (use.transaction === undefined || !transaction.isOpen) {
      return;
    }
    use.transaction.assertAllowed(sql, knowledge.lexis);
    const statement = knowledge.findImplicitCommit(sql);
    if (statement !== undefined) {
      throw new SessionStateError(
        `The statement "${statement}" was refused: ${knowledge.name} would commit the transaction of "${use.label}" ` +
          'before it. Run it outside of a transaction.',
      );
    }
  }
}
