import { SessionStateError, TransactionAbortedError } from '../session-error.js';
import { isKyselyBegin } from './begun-transaction.js';
import type { ConnectionLoss } from './connection-loss.js';
import type { ConnectionReset } from './connection-reset.js';
import type { ConnectionUse } from './connection-use.js';
import { type Cursor, followCursor, isCursor } from './follow-cursor.js';
import type { PoolClient } from './pool.js';
import { Portal } from './portal.js';
import { readFromPortal } from './read-from-portal.js';
import { canSendAhead, sendAhead } from './send-ahead.js';
import { type SetUpConnection, ConnectionProbe } from './set-up-hooks.js';
import { type Answer, NO_ANSWER, StatementsBefore } from './statements-before.js';
import type { TransactionBeginnings } from './transaction-beginnings.js';
import { findTransactionControl } from './transaction-control.js';
import { endedByStatement } from './unexpected-end.js';

/** The members of the connection that statements need. */
interface StatementConnection extends SetUpConnection {
  readonly client: PoolClient;
  readonly use: ConnectionUse;
  readonly loss: ConnectionLoss;
  /** Whether the connection has ended. */
  readonly isOver: boolean;
  /** Whether a transaction is open on the connection. */
  readonly isLeftOpen: boolean;
  whileAlive<Result>(work: () => Promise<Result>): Promise<Result>;
  destroy(reason: Error): void;
  explain(error: unknown, isSentCommit?: boolean): unknown;
}

export interface LeaseStatementsOptions {
  /** The transactions that are being begun. */
  readonly beginnings: TransactionBeginnings;
  readonly reset: ConnectionReset;
}

const COMMIT = /^\s*(?:commit|end)(?:\s+(?:work|transaction))?\s*;?\s*$/i;
/** The commands in the answers to statements that may have ended the transaction around them. */
const ENDINGS: ReadonlySet<string | undefined> = new Set(['COMMIT', 'ROLLBACK', 'BEGIN', 'START', 'PREPARE']);
const NONE = new StatementsBefore([], { hasValues: false });

/** Replaces `query` of a client of node-postgres, and sees each statement that is sent on the connection. */
export class LeaseStatements {
  /** The original `query` of the client. */
  readonly send: PoolClient['query'];
  #isCommitted = false;
  /** Whether the connection was handed out. Until then, its statements are those of the hooks that set it up. */
  #isGiven = false;
  /** The statements that are sent together with the next one. */
  #before: StatementsBefore | undefined;
  /** The number of cursors that were opened in transactions. */
  #portals = 0;

  constructor(
    private readonly connection: StatementConnection,
    private readonly options: LeaseStatementsOptions,
  ) {
    const { client } = connection;
    this.send = client.query.bind(client);
    // Seam: pg/client
    client.query = (text, values, callback) => this.#query(text, values, callback);
  }

  /** Whether the transaction on the connection was committed. */
  get isCommitted(): boolean {
    return this.#isCommitted;
  }

  /** Called when the connection is handed out. */
  give(): void {
    this.#isGiven = true;
    this.#isCommitted = false;
  }

  /** Runs a statement in one round trip with others before it. The answers of the others are dropped. */
  async runAfter(others: readonly string[], sql: string, values: readonly unknown[] = []): Promise<unknown> {
    const hasValues = values.length > 0;
    this.#before = new StatementsBefore(others, { hasValues });
    // Calls `query` of the client, so that code that has wrapped it sees the whole text.
    return this.connection.client.query(this.#before.addTo(sql), hasValues ? values : undefined);
  }

  /** Waits until the server has answered a failed statement completely. Returns whether it was in a transaction. */
  async wasInTransaction(): Promise<boolean> {
    const { client, use } = this.connection;
    if (!this.connection.isOver && client.readyForQuery !== true) {
      const { promise, resolve } = Promise.withResolvers<void>();
      client.once('drain', resolve);
      client.once('end', resolve);
      await use.ask(() => promise);
      client.off('drain', resolve);
      client.off('end', resolve);
    }
    return this.connection.isOver || this.connection.isLeftOpen;
  }

  #query(text: unknown, values: unknown, callback: unknown): unknown {
    if (text instanceof ConnectionProbe) {
      text.connection = this.connection;
      return Promise.resolve(NO_ANSWER);
    }
    const before = this.#before;
    if (before !== undefined && typeof text === 'string' && before.isIn(text)) {
      this.#before = undefined;
      return this.#queryAfter(before, text, values);
    }
    const sql = typeof text === 'string' ? text : (text as { readonly text?: unknown } | null)?.text;
    if (typeof sql === 'string') {
      this.options.reset.note(sql, { text, values, isGiven: this.#isGiven });
      if (isCursor(text)) {
        return this.#open(text, sql);
      }
    }
    const hasPromise = typeof values !== 'function' && typeof callback !== 'function' && !isSubmittable(text);
    return typeof sql === 'string' && hasPromise
      ? this.#run(sql, () => this.send(text, values))
      : this.send(text, values, callback);
  }

  async #queryAfter(before: StatementsBefore, text: string, values: unknown): Promise<unknown> {
    const { client } = this.connection;
    const sql = before.takeFrom(text);
    this.options.reset.note(sql, { text: sql, values, isGiven: this.#isGiven });
    if (!canSendAhead(client, before.ahead)) {
      await this.runAfter(before.ahead, '');
      return this.#run(sql, () => this.send(text, values));
    }
    const send = (): unknown => {
      sendAhead(client, before.ahead);
      return this.send(text, values);
    };
    try {
      return await this.#run(sql, send, before);
    } catch (error) {
      throw before.takeFromError(error);
    }
  }

  /** Opens a cursor. Only outside of the transactions of sessions does it occupy the connection until its end. */
  #open(cursor: Cursor, text: string): unknown {
    const { client, use } = this.connection;
    const { transaction } = use;
    if (transaction === undefined || client.getTransactionStatus?.() === 'I') {
      followCursor(cursor, this.connection);
      return this.send(cursor);
    }
    this.#portals += 1;
    const portal = new Portal({
      client,
      send: this.send,
      isInTime: () => use.transaction === transaction && client.getTransactionStatus?.() !== 'I',
      name: `session_${this.#portals}`,
      text,
      values: cursor.values ?? [],
    });
    readFromPortal(cursor, portal, this.connection);
    return cursor;
  }

  async #run(sql: string, send: () => unknown, before = NONE): Promise<unknown> {
    const { use, loss, isOver } = this.connection;
    if (loss.cause instanceof SessionStateError) {
      throw loss.cause;
    }
    const isOwn = this.#isOwn(sql);
    const isCommit = COMMIT.test(sql);
    const isDead = loss.cause !== undefined || isOver;
    this.#assertAllowed(sql, isOwn, isCommit);
    let answer: Answer | readonly Answer[];
    try {
      answer = await use.ask(() => send() as Promise<Answer | readonly Answer[]>, sql);
    } catch (error) {
      throw this.connection.explain(error, isCommit && !isDead);
    }
    answer = before.takeFromAnswer(answer);
    if (isCommit && (answer as Answer).command === 'ROLLBACK') {
      throw new TransactionAbortedError();
    }
    this.#isCommitted ||= isCommit;
    if (!isOwn) {
      this.#assertStillOpen(sql, answer);
    }
    return answer;
  }

  /** Whether a statement comes from MikroORM, and not from code of the user. */
  #isOwn(sql: string): boolean {
    const { connection } = this;
    const beginning = isKyselyBegin(sql) ? this.options.beginnings.unclaimed : undefined;
    if (beginning !== undefined) {
      beginning.claim(sql, { lease: connection, giveUpWait: () => undefined });
      connection.use.begin(beginning);
      return true;
    }
    const { transaction } = connection.use;
    return transaction === undefined || transaction.isOwn;
  }

  #assertAllowed(sql: string, isOwn: boolean, isCommit: boolean): void {
    const { client, use } = this.connection;
    if (!isOwn) {
      use.transaction?.assertAllowed(sql);
    }
    if (isCommit && client.getTransactionStatus?.() === 'I') {
      throw new SessionStateError(`There is no transaction of "${use.label}" to commit: it had ended before.`);
    }
  }

  /** @throws {SessionStateError} for a statement that unexpectedly ended the transaction around it */
  #assertStillOpen(sql: string, answer: Answer | readonly Answer[]): void {
    const answers = Array.isArray(answer) ? (answer as readonly Answer[]) : undefined;
    const isSuspect = answers?.some(({ command }) => ENDINGS.has(command)) === true;
    const isEnded = this.connection.client.getTransactionStatus?.() === 'I';
    if (isEnded || (isSuspect && findTransactionControl(sql) !== undefined)) {
      const error = endedByStatement(this.connection.use.label);
      this.connection.destroy(error);
      throw error;
    }
  }
}

function isSubmittable(query: unknown): boolean {
  return typeof (query as { readonly submit?: unknown } | null)?.submit === 'function';
}
