import type { BegunTransaction } from '../pool/begun-transaction.js';
import type { ConnectionLoss } from '../pool/connection-loss.js';
import type { ConnectionUse } from '../pool/connection-use.js';
import { TransactionAbortedError } from '../session-error.js';
import type { DriverKnowledge } from './driver-knowledge.js';
import type { KyselyConnection, TransactionSettings } from './kysely-driver.js';
import type { NativeLink } from './native-link.js';

type Send<Answer> = () => Promise<Answer>;

/** The members of the lease that a transaction needs. */
interface TransactionLease {
  readonly connection: KyselyConnection;
  readonly knowledge: DriverKnowledge;
  readonly link: Pick<NativeLink, 'isInTransaction' | 'refresh'>;
  readonly use: ConnectionUse;
  readonly loss: ConnectionLoss;
  whileAlive<Result>(work: Send<Result>): Promise<Result>;
  send<Answer>(send: Send<Answer>): Promise<Answer>;
  destroy(reason: Error): void;
  readonly statements: { closeStreams(): Promise<unknown> | undefined };
  assertThere(): void;
  assertUsable(): void;
}

/** Begins and ends the transaction on one connection, and notices when the database has rolled it back. */
export class DriverTransaction {
  /** Whether a transaction is open. */
  #isOpen = false;
  #isCommitted = false;
  /** The error for which the database has rolled back the transaction. */
  #abort: { readonly cause: unknown } | undefined;

  constructor(private readonly lease: TransactionLease) {}

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get isCommitted(): boolean {
    return this.#isCommitted;
  }

  /** Whether the database has rolled back the transaction. */
  get isAborted(): boolean {
    return this.#abort !== undefined;
  }

  /** Begins a transaction, for an EntityManager or for other code. Ends the connection when the begin fails. */
  async begin(
    wanted: BegunTransaction | undefined,
    { accessMode }: TransactionSettings,
    begin: Send<void>,
  ): Promise<void> {
    await this.#sendOrDestroy(begin);
    this.#isOpen = true;
    if (wanted?.isClaimed === false) {
      wanted.claim(`begin ${accessMode ?? ''}`, { lease: this.lease, giveUpWait: () => undefined });
      this.lease.use.begin(wanted);
    }
  }

  async commit(commit: Send<void>): Promise<void> {
    const { knowledge, loss, use } = this.lease;
    this.lease.assertUsable();
    await this.#closeStreams();
    try {
      await this.lease.send(commit);
    } catch (error) {
      throw knowledge.endsConnection(error) ? loss.failCommit(use.label, error) : error;
    }
    this.#isCommitted = true;
    this.#isOpen = false;
  }

  async rollBack(rollBack: Send<void>): Promise<void> {
    this.lease.assertThere();
    await this.#closeStreams();
    const { isInTransaction } = this.lease.link;
    if (isInTransaction === true || (isInTransaction === undefined && this.#abort === undefined)) {
      await this.#sendOrDestroy(rollBack);
    }
    this.#isOpen = false;
  }

  /** Makes or releases a savepoint. */
  async mark(send: Send<void>): Promise<void> {
    this.lease.assertUsable();
    await this.lease.send(send);
  }

  /** Rolls back to a savepoint. Does nothing when the whole transaction was rolled back already. */
  async undo(send: Send<void>): Promise<void> {
    if (this.#abort === undefined) {
      await this.mark(send);
    }
  }

  /** Called when the connection is given back. */
  end(): void {
    this.#isOpen = false;
  }

  /** @throws {TransactionAbortedError} when the database has rolled back the transaction */
  assertGoesOn(): void {
    if (this.#abort !== undefined) {
      throw new TransactionAbortedError(this.#abort);
    }
  }

  /** Called when a statement has failed and its connection is still usable. */
  async noteFailure(error: unknown): Promise<void> {
    const { isInTransaction, refresh } = this.lease.link;
    // Without a server, nothing but the database ends a transaction together with an error.
    const isRolledBack = isInTransaction === false && refresh === undefined;
    if (this.#isOpen && (isRolledBack || (await this.#hasRolledBack(error)))) {
      this.#abort ??= { cause: error };
    }
  }

  async #closeStreams(): Promise<void> {
    const closed = this.lease.statements.closeStreams();
    if (closed !== undefined) {
      await this.lease.whileAlive(() => closed);
    }
  }

  async #hasRolledBack(error: unknown): Promise<boolean> {
    const { connection, knowledge } = this.lease;
    return knowledge.hasRolledBack(error, async (sql) => {
      const answer = await connection.executeQuery({ sql, parameters: [] });
      return (answer as { readonly rows: readonly Readonly<Record<string, unknown>>[] }).rows;
    });
  }

  async #sendOrDestroy(send: Send<void>): Promise<void> {
    try {
      await this.lease.send(send);
    } catch (error) {
      // Otherwise Kysely would never give the connection back.
      this.lease.destroy(error as Error);
      throw error;
    }
  }
}
