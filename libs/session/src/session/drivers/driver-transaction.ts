import type { BegunTransaction } from '../pool/begun-transaction.js';
import type { ConnectionLoss } from '../pool/connection-loss.js';
import type { ConnectionUse } from '../pool/connection-use.js';
import { TransactionAbortedError } from '../session-error.js';
import type { DriverKnowledge } from './driver-knowledge.js';
import type { KyselyConnection, TransactionSettings } from './kysely-driver.js';
import type { NativeLink } from './native-link.js';

type Send<Answer> = () => Promise<Answer>;

/** What a transaction needs of the connection that it runs on. */
interface TransactionLease {
  readonly connection: KyselyConnection;
  readonly knowledge: DriverKnowledge;
  readonly link: Pick<NativeLink, 'isInTransaction'>;
  readonly use: ConnectionUse;
  readonly loss: ConnectionLoss;
  whileAlive<Result>(work: Send<Result>): Promise<Result>;
  send<Answer>(send: Send<Answer>): Promise<Answer>;
  destroy(reason: Error): void;
  assertThere(): void;
  assertUsable(): void;
}

/** Begins and ends the transaction on one connection, and knows when the database has rolled it back. */
export class DriverTransaction {
  /** Whether it was begun, and has not ended. */
  #isOpen = false;
  /** Why the database has rolled it back. */
  #abort: { readonly cause: unknown } | undefined;

  constructor(private readonly lease: TransactionLease) {}

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Begins the transaction that an EntityManager wants, or somebody else. One that cannot be begun has no connection. */
  async begin(
    wanted: BegunTransaction | undefined,
    { accessMode }: TransactionSettings,
    begin: Send<void>,
  ): Promise<void> {
    await this.#sendOrDestroy(begin);
    this.#isOpen = true;
    if (wanted?.isClaimed === false) {
      wanted.claim(`begin ${accessMode ?? ''}`, { lease: this.lease, giveUpWait: () => undefined });
      this.lease.use.transaction = wanted;
    }
  }

  async commit(commit: Send<void>): Promise<void> {
    const { knowledge, loss, use } = this.lease;
    this.lease.assertUsable();
    try {
      await this.lease.send(commit);
    } catch (error) {
      throw knowledge.endsConnection(error) ? loss.failCommit(use.label, error) : error;
    }
    this.#isOpen = false;
  }

  async rollBack(rollBack: Send<void>): Promise<void> {
    this.lease.assertThere();
    const { isInTransaction } = this.lease.link;
    if (isInTransaction === true || (isInTransaction === undefined && this.#abort === undefined)) {
      await this.#sendOrDestroy(rollBack);
    }
    this.#isOpen = false;
  }

  /** Begins a part of the transaction, or ends it well. */
  async mark(send: Send<void>): Promise<void> {
    this.lease.assertUsable();
    await this.lease.send(send);
  }

  /** Undoes a part of the transaction. Where all of it is undone, that is too. */
  async undo(send: Send<void>): Promise<void> {
    if (this.#abort === undefined) {
      await this.mark(send);
    }
  }

  /** Called where the connection is given back. */
  end(): void {
    this.#isOpen = false;
  }

  /** @throws {TransactionAbortedError} where the database has rolled it back */
  assertGoesOn(): void {
    if (this.#abort !== undefined) {
      throw new TransactionAbortedError(this.#abort);
    }
  }

  /** Called where a statement has failed on a connection that goes on. */
  async noteFailure(error: unknown): Promise<void> {
    if (this.#isOpen && (this.lease.link.isInTransaction === false || (await this.#hasRolledBack(error)))) {
      this.#abort ??= { cause: error };
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
      // Kysely would never give the connection back.
      this.lease.destroy(error as Error);
      throw error;
    }
  }
}
