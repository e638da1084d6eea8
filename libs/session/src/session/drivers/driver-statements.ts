import type { ConnectionUse } from '../pool/connection-use.js';
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
  send<Answer>(send: () => Promise<Answer>, statement?: string): Promise<Answer>;
  whileAlive<Result>(work: () => Promise<Result>): Promise<Result>;
  untilEnd(work: Promise<unknown> | undefined): Promise<void>;
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

  /** Whether a stream is half read. */
  get haveStreams(): boolean {
    return this.#streams.size > 0;
  }

  /** Closes the streams that are half read. */
  async closeStreams(): Promise<void> {
    // A stream that fails tells it to its reader.
    await Promise.allSettled([...this.#streams].map(async (stream) => stream.return?.()));
  }

  async #run(query: CompiledQuery, send: () => Promise<unknown>): Promise<unknown> {
    this.#assertAllowed(query);
    let answer: unknown;
    try {
      answer = await this.lease.send(send, query.sql);
    } catch (error) {
      this.#assertStillOpen(error);
      throw error;
    }
    this.#assertStillOpen();
    return answer;
  }

  /** @throws {SessionStateError} for a statement that unexpectedly ended the transaction around it */
  #assertStillOpen(cause?: unknown): void {
    const { link, transaction, use } = this.lease;
    if (
      transaction.isOpen &&
      !transaction.isAborted &&
      use.transaction !== undefined &&
      link.isInTransaction === false
    ) {
      const error = endedByStatement(use.label, cause);
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
        const next = await this.lease.send(() => this.lease.whileAlive(() => stream.next()), query.sql);
        if (next.done === true) {
          return;
        }
        yield next.value;
      }
    } finally {
      this.#streams.delete(stream);
      await this.lease.untilEnd(stream.return?.());
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
