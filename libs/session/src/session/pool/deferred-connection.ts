import { type Cursor, isCursor } from './follow-cursor.js';
import { SessionStateError } from '../session-error.js';
import { type BegunTransaction, isKyselyBegin } from './begun-transaction.js';
import type { Lease } from './lease.js';
import type { SetUp, SetUpHooks } from './set-up-hooks.js';

/** A wait for a connection. */
export interface Opening {
  readonly lease: Promise<Lease>;
  leave(reason: Error): void;
}

// Seam: kysely/savepoint
const SAVEPOINT = /^(savepoint|release|rollback to)(?: savepoint)? "?(trx\d+)"?$/;
// Seam: kysely/session-info
const PROCESS_ID = 'select pg_backend_pid() as pid';

/**
 * Stands for the connection of a transaction, which it takes from the pool for the first statement. What begins the
 * transaction, sets it and makes savepoints in it travels with the statement after it, in one round trip; what was never
 * sent need not be ended on the server either. The idea is Spring's LazyConnectionDataSourceProxy.
 */
export class DeferredConnection {
  readonly #begun: BegunTransaction;
  readonly #connect: () => Opening;
  /** What is to be sent before the next statement. */
  #withheld: string[] = [];
  #opening: Opening | undefined;
  #opened: Promise<Lease> | undefined;
  #lease: Lease | undefined;
  /** Ends when the first statement has told whether there is a transaction. */
  #start: Promise<void> | undefined;
  #isStarted = false;
  /** Why there is no transaction, and cannot be one. */
  #failure: { readonly error: unknown } | undefined;
  #isReleased = false;

  /** What is to be done with the connection before anything else. */
  readonly setUps: SetUp[] = [];

  constructor(
    begun: BegunTransaction,
    connect: () => Opening,
    private readonly hooks: SetUpHooks,
  ) {
    this.#begun = begun;
    this.#connect = connect;
  }

  get lease(): Lease | undefined {
    return this.#lease;
  }

  giveUpWait(): void {
    if (this.#lease === undefined) {
      const { label } = this.#begun.owner;
      const reason = new SessionStateError(`The transaction of "${label}" was rolled back before it had a connection.`);
      this.#failure ??= { error: reason };
      this.#opening?.leave(reason);
    }
  }

  query(text: unknown, values: unknown, callback: unknown): unknown {
    if ((this.#isStarted && this.#withheld.length === 0 && !isSavepoint(text)) || this.hooks.running !== undefined) {
      return this.#lease?.client.query(text, values, callback);
    }
    if (isCursor(text)) {
      return this.#submit(text);
    }
    return this.#run(String(text), values as readonly unknown[] | undefined);
  }

  release(error?: Error | boolean): void {
    this.#isReleased = true;
    this.#lease?.client.release(error);
  }

  async #run(sql: string, values: readonly unknown[] = []): Promise<unknown> {
    if (this.#isBeginning(sql)) {
      this.#begun.claim(sql, this);
      this.#withheld.push(sql);
      return answerOf('BEGIN');
    }
    if (this.#begun.isBeingSet) {
      this.#withheld.push(sql);
      return answerOf('SELECT');
    }
    const { isOwn } = this.#begun;
    if (this.#begun.isClaimed) {
      this.#begun.assertAllowed(sql);
    }
    if (sql === PROCESS_ID) {
      return this.#askProcess(sql, values);
    }
    if (this.#start !== undefined) {
      // Without a transaction it would be committed by itself.
      await this.#start;
    }
    const answer = isOwn ? this.#answerLocally(sql) : undefined;
    if (answer !== undefined) {
      return answer;
    }
    this.#assertPossible();
    return this.#send(sql, values);
  }

  /** Why there is no connection is told by the statement that follows. Who does not wait for that any more hears nothing. */
  async #askProcess(sql: string, values: readonly unknown[]): Promise<unknown> {
    const lease = await this.#open().catch(() => undefined);
    if (lease === undefined) {
      return answerOf('SELECT', [{ pid: undefined }]);
    }
    const { client } = lease;
    return client.processID ? answerOf('SELECT', [{ pid: client.processID }]) : client.query(sql, values);
  }

  #isBeginning(sql: string): boolean {
    return !this.#begun.isClaimed && isKyselyBegin(sql);
  }

  /** Answers to what begins or ends a part that was never sent. */
  #answerLocally(sql: string): unknown {
    const [, command = sql, name] = SAVEPOINT.exec(sql) ?? [];
    switch (command) {
      case 'savepoint':
        this.#assertPossible();
        if (this.#lease?.hasFailed === true) {
          return undefined;
        }
        this.#withheld.push(sql);
        return answerOf('SAVEPOINT');
      case 'release':
        this.#assertPossible();
        return this.#leaveSavepoint(command, `savepoint "${name}"`);
      case 'rollback to':
        return this.#leaveSavepoint(command, `savepoint "${name}"`);
      case 'commit':
        this.#assertPossible();
        this.#withheld = [];
        return this.#isStarted ? undefined : answerOf('COMMIT');
      case 'rollback':
        this.#withheld = [];
        return this.#isStarted ? undefined : answerOf('ROLLBACK');
      default:
        return undefined;
    }
  }

  #leaveSavepoint(command: string, savepoint: string): unknown {
    const index = this.#withheld.lastIndexOf(savepoint);
    if (index < 0) {
      // Those that are withheld are within it.
      this.#withheld = [];
      return undefined;
    }
    this.#withheld.length = command === 'release' ? index : index + 1;
    return answerOf(command === 'release' ? 'RELEASE' : 'ROLLBACK');
  }

  #assertPossible(): void {
    if (this.#failure !== undefined) {
      throw this.#failure.error;
    }
    if (this.#isReleased) {
      throw new SessionStateError(`The transaction of "${this.#begun.owner.label}" has ended.`);
    }
  }

  #send(sql: string, values: readonly unknown[]): Promise<unknown> {
    return this.#isStarted ? this.#sendOn(sql, values) : this.#starting((lease) => this.#sendOn(sql, values, lease));
  }

  /** Sends a statement with what was withheld: in one round trip where the protocol lets it. */
  async #sendOn(sql: string, values: readonly unknown[], lease = this.#lease as Lease): Promise<unknown> {
    const withheld = this.#withheld.splice(0);
    if (values.length === 0) {
      return lease.runAfter(withheld, sql);
    }
    await this.#sendWithheld(lease, withheld);
    return lease.client.query(sql, values);
  }

  async #sendWithheld(lease: Lease, withheld: readonly string[]): Promise<void> {
    if (withheld.length > 0) {
      await lease.runAfter(withheld, '');
    }
  }

  /** Runs the first statement, for which the others wait. */
  async #starting(work: (lease: Lease) => Promise<unknown>): Promise<unknown> {
    const start = Promise.withResolvers<void>();
    this.#start = start.promise;
    let lease: Lease;
    try {
      lease = await this.#open();
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
      // What comes first is the error. It does not tell whether the transaction was begun before.
      void lease.wasInTransaction().then((wasInTransaction) => {
        if (wasInTransaction || !this.#begun.isClaimed) {
          this.#started();
        } else {
          this.#failure = { error };
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

  #open(): Promise<Lease> {
    this.#assertPossible();
    return (this.#opened ??= this.#take());
  }

  async #take(): Promise<Lease> {
    try {
      this.#opening = this.#connect();
      const lease = await this.#opening.lease;
      if (this.#isReleased || this.#failure !== undefined) {
        // It came when nobody waited for it any more.
        lease.client.release();
      }
      this.#assertPossible();
      this.#lease = lease;
      await this.#setUp(lease);
      return lease;
    } catch (error) {
      this.#failure ??= { error };
      throw error;
    }
  }

  /** It is no part of the transaction. */
  async #setUp(lease: Lease): Promise<void> {
    for (const setUp of this.setUps) {
      await this.#begun.asOwner(() => this.hooks.setUp(lease, setUp));
    }
  }

  /** A cursor waits for its turn by itself, but for no connection. */
  #submit(cursor: Cursor): Cursor {
    const { read, close } = cursor;
    let isClosed = false;
    let isSubmitted = false;
    const submitted = this.#submitInTurn((lease) => {
      if (!isClosed) {
        isSubmitted = true;
        lease.client.query(Object.assign(cursor, { read, close }));
      }
    });
    submitted.catch(() => undefined);
    cursor.read = async (...args) => {
      await submitted;
      return isSubmitted ? cursor.read?.(...args) : [];
    };
    cursor.close = async (...args) => {
      isClosed = true;
      await submitted.catch(() => undefined);
      return isSubmitted ? cursor.close(...args) : undefined;
    };
    return cursor;
  }

  async #submitInTurn(submit: (lease: Lease) => void): Promise<void> {
    if (this.#start !== undefined) {
      await this.#start;
    }
    this.#assertPossible();
    const work = async (lease: Lease): Promise<void> => {
      await this.#sendWithheld(lease, this.#withheld.splice(0));
      submit(lease);
    };
    await (this.#isStarted ? work(this.#lease as Lease) : this.#starting(work));
  }
}

function isSavepoint(text: unknown): boolean {
  return typeof text === 'string' && SAVEPOINT.test(text);
}

function answerOf(command: string, rows: readonly object[] = []): unknown {
  return { command, rows, rowCount: rows.length };
}
