import { type BegunTransaction, isKyselyBegin } from './begun-transaction.js';
import { ConnectionOpening, type LeaseWait } from './connection-opening.js';
import { deferCursor } from './defer-cursor.js';
import { isCursor } from './follow-cursor.js';
import type { Lease } from './lease.js';
import type { PoolClient } from './pool.js';
import type { SetUp, SetUpHooks } from './set-up-hooks.js';
import { isSavepointStatement, localAnswer, WithheldStatements } from './withheld-statements.js';

// Seam: kysely/session-info
const PROCESS_ID = 'select pg_backend_pid() as pid';

/**
 * Replaces the connection of a transaction, and takes a connection from the pool for the first statement. The
 * statements that begin the transaction, configure it and make savepoints are sent together with the statement after
 * them, in one round trip. A savepoint that was never sent does not have to be ended on the server either. The model is
 * Spring's LazyConnectionDataSourceProxy.
 */
export class DeferredConnection {
  readonly #begun: BegunTransaction;
  readonly #opening: ConnectionOpening;
  readonly #withheld = new WithheldStatements();
  /** Resolves when the first statement has shown whether there is a transaction. */
  #start: Promise<void> | undefined;
  #isStarted = false;

  constructor(
    begun: BegunTransaction,
    connect: () => LeaseWait,
    private readonly hooks: SetUpHooks,
  ) {
    this.#begun = begun;
    this.#opening = new ConnectionOpening(begun, connect, hooks);
  }

  get lease(): Lease | undefined {
    return this.#opening.lease;
  }

  /** Hooks to run on the connection before anything else. */
  get setUps(): SetUp[] {
    return this.#opening.setUps;
  }

  giveUpWait(): void {
    this.#opening.giveUpWait();
  }

  release(error?: Error | boolean): void {
    this.#opening.release(error);
  }

  query(text: unknown, values: unknown, callback: unknown): unknown {
    if (
      (this.#isStarted && this.#withheld.isEmpty && !isSavepointStatement(text)) ||
      this.hooks.running !== undefined
    ) {
      return this.lease?.client.query(text, values, callback);
    }
    if (isCursor(text)) {
      return deferCursor(text, (submit) => this.#inTurn(submit));
    }
    return this.#run(String(text), values as readonly unknown[] | undefined);
  }

  async #run(sql: string, values: readonly unknown[] = []): Promise<unknown> {
    if (this.#isBeginning(sql)) {
      this.#begun.claim(sql, this);
      this.#withheld.add(sql);
      return localAnswer('BEGIN');
    }
    if (this.#begun.isBeingSet) {
      this.#withheld.add(sql);
      return localAnswer('SELECT');
    }
    const { isOwn } = this.#begun;
    if (this.#begun.isClaimed) {
      this.#begun.assertAllowed(sql);
    }
    if (sql === PROCESS_ID) {
      return this.#askProcess(sql, values);
    }
    if (this.#start !== undefined) {
      // Outside of a transaction, the statement would be committed by itself.
      await this.#start;
    }
    const answer = isOwn ? this.#answerLocally(sql) : undefined;
    if (answer !== undefined) {
      return answer;
    }
    this.#opening.assertPossible();
    return this.#send(sql, values);
  }

  /**
   * Ignores the error of a missing connection: the next statement throws it. Nobody may wait for that statement any
   * more.
   */
  async #askProcess(sql: string, values: readonly unknown[]): Promise<unknown> {
    const lease = await this.#opening.open().catch(() => undefined);
    if (lease === undefined) {
      return localAnswer('SELECT', [{ pid: undefined }]);
    }
    const { client } = lease;
    return client.processID ? localAnswer('SELECT', [{ pid: client.processID }]) : client.query(sql, values);
  }

  #isBeginning(sql: string): boolean {
    return !this.#begun.isClaimed && isKyselyBegin(sql);
  }

  /**
   * Answers a statement for a savepoint or transaction that was never sent. A transaction that could not begin can be
   * rolled back.
   */
  #answerLocally(sql: string): unknown {
    if (!sql.startsWith('rollback')) {
      this.#opening.assertPossible();
    }
    return this.#withheld.answer(sql, { isStarted: this.#isStarted, hasFailed: this.lease?.hasFailed === true });
  }

  #send(sql: string, values: readonly unknown[]): Promise<unknown> {
    const send = (lease: Lease): Promise<unknown> => lease.statements.runAfter(this.#withheld.take(), sql, values);
    return this.#isStarted ? send(this.lease as Lease) : this.#starting(send);
  }

  async #sendWithheld(lease: Lease): Promise<void> {
    const withheld = this.#withheld.take();
    if (withheld.length > 0) {
      await lease.statements.runAfter(withheld, '');
    }
  }

  /** Runs the first statement, for which the others wait. */
  async #starting<Answer>(work: (lease: Lease) => Promise<Answer>): Promise<Answer> {
    const start = Promise.withResolvers<void>();
    this.#start = start.promise;
    let lease: Lease;
    try {
      lease = await this.#opening.open();
    } catch (error) {
      start.resolve();
      throw error;
    }
    try {
      const answer = await work(lease);
      this.#started();
      start.resolve();
      return answer;
    } catch (error) {
      // The error comes first. It does not show whether the transaction has begun before.
      void lease.statements.wasInTransaction().then((wasInTransaction) => {
        if (wasInTransaction || !this.#begun.isClaimed) {
          this.#started();
        } else {
          this.#opening.fail(error);
        }
        start.resolve();
      });
      throw error;
    }
  }

  #started(): void {
    this.#isStarted = true;
    this.#start = undefined;
  }

  /** Waits for the turn of a cursor. The withheld statements are sent before it. */
  async #inTurn(submit: (client: PoolClient) => void): Promise<void> {
    if (this.#start !== undefined) {
      await this.#start;
    }
    this.#opening.assertPossible();
    const work = async (lease: Lease): Promise<void> => {
      await this.#sendWithheld(lease);
      submit(lease.client);
    };
    await (this.#isStarted ? work(this.lease as Lease) : this.#starting(work));
  }
}
