import type { BegunTransaction, LeaseOwner } from './begun-transaction.js';
import { ConnectionLoss } from './connection-loss.js';
import { ConnectionUse, type ConnectionUseOptions } from './connection-use.js';
import { LeaseStatements, type LeaseStatementsOptions } from './lease-statements.js';
import { endsConnection, explainLoss, findSqlState, isGivenUp } from './lost-connection.js';
import type { PoolClient } from './pool.js';
import { GRACE_MS } from './pool-defaults.js';
import type { ConnectionFacts } from './pool-facts.js';
import { leftOpen } from './unexpected-end.js';
import { unlessInTime } from './unless-in-time.js';

export type LeaseOptions = LeaseStatementsOptions & ConnectionUseOptions;

/** The SQL state of a server that has become a replica. */
const READ_ONLY = '25006';

/** Keeps one connection of the pool: its check-outs, its use and its end. */
export class Lease {
  /** Whether the connection is checked out of the pool. */
  isOut = false;
  /** Whether the connection has ended. */
  isOver = false;
  readonly client: PoolClient;
  readonly use: ConnectionUse;
  readonly loss = new ConnectionLoss();
  readonly statements: LeaseStatements;
  readonly #options: LeaseOptions;
  #isSetUp = false;
  /** Whether the connection must not be used again. */
  #isSpent = false;
  /** Gives the connection back to the pool after its reset. */
  #giveBackReset: PoolClient['release'] | undefined;

  constructor(client: PoolClient, options: LeaseOptions) {
    this.client = client;
    this.#options = options;
    this.use = new ConnectionUse(options, () => this.isOut && this.isLeftOpen);
    this.statements = new LeaseStatements(this, options);
    client.on('error', (error) => this.loss.note(error));
    client.once('end', () => {
      this.isOver = true;
      this.giveBack();
    });
  }

  /** Whether code has left a transaction open on the connection. */
  get isLeftOpen(): boolean {
    const status = this.client.getTransactionStatus?.();
    return !this.isOver && (status === 'T' || status === 'E');
  }

  /** Whether the open transaction has failed, and accepts no statement any more. */
  get hasFailed(): boolean {
    return this.isOver || this.loss.cause !== undefined || this.client.getTransactionStatus?.() === 'E';
  }

  get facts(): ConnectionFacts {
    return {
      owner: this.use.owner,
      processId: this.client.processID ?? undefined,
      hasFailed: this.hasFailed,
      statement: this.use.running,
    };
  }

  /** The number of bytes that the server has sent. */
  get bytesRead(): number | undefined {
    return this.client.connection?.stream?.bytesRead;
  }

  /** Called when the connection is checked out, for a scope or for a transaction with its first statement. */
  checkOut(scope: LeaseOwner | undefined, transaction?: BegunTransaction): this {
    this.use.clear();
    this.use.scope = scope;
    this.statements.give();
    if (transaction !== undefined) {
      this.use.begin(transaction);
    }
    const { release } = this.client;
    this.client.release = (error) => this.#release(release, error);
    return this;
  }

  /** Returns whether the connection must be set up now. True only once. */
  becomesSetUp(): boolean {
    const isDue = !this.#isSetUp;
    this.#isSetUp = true;
    return isDue;
  }

  /** Waits for `work`, at most until the connection ends, which ends all work on it. */
  async whileAlive<Result>(work: () => Promise<Result>): Promise<Result> {
    const over = Promise.withResolvers<never>();
    const onEnd = (): void =>
      over.reject(explainLoss(this.use.label, this.loss.cause ?? new Error('Connection terminated unexpectedly')));
    this.client.once('end', onEnd);
    try {
      return await Promise.race([work(), over.promise]);
    } finally {
      this.client.off('end', onEnd);
    }
  }

  /** Gives back a connection that broke while it was checked out. Its user may give it back again. */
  giveBack(): void {
    if (this.isOut) {
      const release = this.#giveBackReset ?? this.client.release;
      this.#giveBackReset = undefined;
      this.client.release = () => undefined;
      release(true);
    }
  }

  /** Ends the connection without a word to the server, which then rolls back. Running statements fail with `reason`. */
  destroy(reason: Error): void {
    this.loss.note(reason);
    const stream = this.client.connection?.stream;
    if (stream === undefined) {
      void this.client.end();
    } else {
      stream.destroy();
    }
  }

  /** Turns an error into one that says what happened to the connection. */
  explain(error: unknown, isSentCommit = false): unknown {
    const { loss, use } = this;
    const state = findSqlState(error);
    const isLost = endsConnection(error);
    loss.isTold ||= isLost;
    if (state !== undefined && isLost) {
      loss.note(error as Error);
    }
    if (state === READ_ONLY && use.transaction?.isReadOnly !== true) {
      this.#isSpent = true;
    }
    if (isGivenUp(error)) {
      // The answer may still come, and would be taken for the answer to another statement.
      this.destroy(error as Error);
    }
    if (isSentCommit && isLost) {
      return loss.failCommit(use.label, error);
    }
    return state === undefined && loss.cause !== error ? (loss.explain(use.label) ?? error) : error;
  }

  #release(release: PoolClient['release'], error?: Error | boolean): void {
    const { isLeftOpen, loss, statements, use } = this;
    const { reset } = this.#options;
    use.end(statements.isCommitted);
    const { label } = use;
    const isUsable = !isLeftOpen && !this.#isSpent && loss.cause === undefined;
    if (error === undefined && isUsable && reset.isDue(use.scope ?? use.transaction?.owner)) {
      void this.#releaseReset(release);
      return;
    }
    release(error ?? (isUsable ? undefined : true));
    if (isLeftOpen && error === undefined) {
      throw leftOpen(label);
    }
  }

  /** Gives the connection back after its reset. The next user waits for that. */
  async #releaseReset(release: PoolClient['release']): Promise<void> {
    this.#giveBackReset = release;
    this.client.release = () => undefined;
    this.use.clear();
    const isInTime = unlessInTime(GRACE_MS, () =>
      this.destroy(new Error('it did not answer to the reset of its settings, and was given up')),
    );
    const isReset = await this.#options.reset.run(this.client, this.statements.send).then(
      () => true,
      () => false,
    );
    isInTime();
    const giveBack = this.#giveBackReset;
    this.#giveBackReset = undefined;
    giveBack?.(isReset ? undefined : true);
  }
}
