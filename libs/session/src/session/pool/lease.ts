import type { AsyncLocalStorage } from 'node:async_hooks';

import { type Cursor, followCursor, isCursor } from './follow-cursor.js';
import { CommitUnknownError, SessionStateError, TransactionAbortedError } from '../session-error.js';
import type { PoolClient } from './pool.js';
import { type BegunTransaction, isKyselyBegin, type LeaseOwner } from './begun-transaction.js';
import type { Observed } from './connection-observer.js';
import type { ConnectionReset } from './connection-reset.js';
import { IdleTimer } from './idle-timer.js';
import { endsConnection, explainLoss, findSqlState, isGivenUp } from './lost-connection.js';
import { GRACE_MS } from './pool-defaults.js';
import type { ConnectionFacts } from './pool-facts.js';
import { Portal } from './portal.js';
import { WhoIsThere } from './set-up-hooks.js';
import { Silence } from './silence.js';
import { findTransactionControl } from './transaction-control.js';
import { endedByStatement, leftOpen } from './unexpected-end.js';
import { unlessInTime } from './unless-in-time.js';

export interface LeaseOptions {
  /** The transactions that are being begun. */
  readonly beginnings: AsyncLocalStorage<BegunTransaction>;
  /** Who is told of what becomes of connections. */
  readonly observed: Observed;
  readonly reset: ConnectionReset;
  /** Milliseconds after which a transaction without a statement is reported. */
  readonly heldIdleAfter: number | undefined;
  readonly onHeldIdle: (owner: LeaseOwner, milliseconds: number) => void;
}

/** What is sent before a statement, in one text with it. */
interface Before {
  readonly text: string;
  readonly count: number;
}

interface Answer {
  readonly command?: string;
}

const COMMIT = /^\s*(?:commit|end)(?:\s+(?:work|transaction))?\s*;?\s*$/i;
/** What the answer to a statement begins with that may have ended the transaction around it. */
const ENDINGS: ReadonlySet<string | undefined> = new Set(['COMMIT', 'ROLLBACK', 'BEGIN', 'START', 'PREPARE']);
/** A server that has become a replica. */
const READ_ONLY = '25006';
const NO_ANSWER: Answer & { readonly rows: readonly never[] } = { command: '', rows: [] };
const NOBODY: LeaseOwner = { label: 'a connection of the pool' };

/** Knows what goes on on one connection, as long as there is one. */
export class Lease {
  isOut = false;
  #isSetUp = false;
  /** Whether a statement has failed because the connection was lost. */
  isLossTold = false;
  /** What the last commit failed with whose end is unknown. */
  unknownCommit: CommitUnknownError | undefined;
  readonly client: PoolClient;
  /** How long the server has owed an answer to a statement. */
  readonly silence = new Silence();
  readonly #send: PoolClient['query'];
  readonly #beginnings: AsyncLocalStorage<BegunTransaction>;
  readonly #observed: Observed;
  readonly #reset: ConnectionReset;
  readonly #idleTimer: IdleTimer | undefined;
  /** Of the statement that comes next. */
  #before: Before | undefined;
  /** Gives it back to the pool when it is reset. */
  #giveBackReset: PoolClient['release'] | undefined;
  #scope: LeaseOwner | undefined;
  #transaction: BegunTransaction | undefined;
  /** Whether anybody was given it yet: until then it is set up. */
  #isGiven = false;
  /** How many cursors were opened in transactions. */
  #portals = 0;
  /** The statement that was sent last, until its answer is there. */
  #statement: string | undefined;
  #isCommitted = false;
  /** Whether the connection has ended. */
  isOver = false;
  #isSpent = false;
  /** What ended the connection. */
  #loss: Error | undefined;

  constructor(client: PoolClient, { beginnings, observed, reset, heldIdleAfter, onHeldIdle }: LeaseOptions) {
    this.#observed = observed;
    if (heldIdleAfter !== undefined) {
      this.#idleTimer = new IdleTimer(heldIdleAfter, () => {
        if (this.heldIdleFor > 0) {
          onHeldIdle(this.#user ?? NOBODY, this.heldIdleFor);
        }
      });
    }
    this.#reset = reset;
    this.client = client;
    this.#send = client.query.bind(client);
    this.#beginnings = beginnings;
    // Seam: pg/client
    client.query = (text, values, callback) => this.#query(text, values, callback);
    client.on('error', (error) => {
      this.#loss ??= error;
    });
    client.once('end', () => {
      this.isOver = true;
      this.giveBack();
    });
  }

  /** Whether somebody has left a transaction open on it. */
  get isLeftOpen(): boolean {
    const status = this.client.getTransactionStatus?.();
    return !this.isOver && (status === 'T' || status === 'E');
  }

  /** Whether the transaction that is open on it takes no statement any more. */
  get hasFailed(): boolean {
    return this.isOver || this.#loss !== undefined || this.client.getTransactionStatus?.() === 'E';
  }

  get facts(): ConnectionFacts {
    return {
      owner: this.#user,
      processId: this.client.processID ?? undefined,
      hasFailed: this.hasFailed,
      statement: this.#statement === undefined ? undefined : { sql: this.#statement, since: this.silence.since },
    };
  }

  /** Milliseconds for which no statement has run in the transaction that is open on it; 0 where there is none. */
  get heldIdleFor(): number {
    return this.isOut && this.isLeftOpen ? this.silence.pause : 0;
  }

  /** Takes over the connection for somebody who asked the pool for it, or for a transaction whose first statement did. */
  checkOut(scope: LeaseOwner | undefined, transaction?: BegunTransaction): this {
    this.#isGiven = true;
    this.#scope = scope;
    const { release } = this.client;
    this.#transaction = transaction;
    this.#isCommitted = false;
    if (transaction !== undefined) {
      this.#observed.observer?.began(transaction.owner);
    }
    this.client.release = (error) => this.#release(release, error);
    return this;
  }

  /** Whether it is to be set up now, which is done once. */
  becomesSetUp(): boolean {
    const isDue = !this.#isSetUp;
    this.#isSetUp = true;
    return isDue;
  }

  /** Whether code of a scope has checked it out, or its transaction runs on it. */
  isOf(scope: LeaseOwner): boolean {
    return this.#scope === scope || this.#transaction?.owner === scope;
  }

  /** Waits for `work`, or for the end of the connection, which is the end of all that goes on on it. */
  async whileAlive<Result>(work: () => Promise<Result>): Promise<Result> {
    const over = Promise.withResolvers<never>();
    const onEnd = (): void =>
      over.reject(explainLoss(this.#label, this.#loss ?? new Error('Connection terminated unexpectedly')));
    this.client.once('end', onEnd);
    try {
      return await Promise.race([work(), over.promise]);
    } finally {
      this.client.off('end', onEnd);
    }
  }

  /** Gives back a connection that broke while it was checked out. Who holds it may do so once more. */
  giveBack(): void {
    if (this.isOut) {
      const release = this.#giveBackReset ?? this.client.release;
      this.#giveBackReset = undefined;
      this.client.release = () => undefined;
      release(true);
    }
  }

  /** Ends the connection without asking the server, which rolls back. Its statements fail with `reason`. */
  destroy(reason: Error): void {
    this.#loss ??= reason;
    const stream = this.client.connection?.stream;
    if (stream === undefined) {
      void this.client.end();
    } else {
      stream.destroy();
    }
  }

  /** How much the server has said. */
  get bytesRead(): number | undefined {
    return this.client.connection?.stream?.bytesRead;
  }

  /** Waits for an answer of the server. */
  async ask<Answered>(question: () => Promise<Answered>): Promise<Answered> {
    this.silence.ask();
    try {
      return await question();
    } finally {
      this.silence.answer();
      this.#idleTimer?.start();
    }
  }

  get #label(): string {
    return (this.#user ?? NOBODY).label;
  }

  get #user(): LeaseOwner | undefined {
    return this.#transaction?.owner ?? this.#scope;
  }

  #query(text: unknown, values: unknown, callback: unknown): unknown {
    if (text instanceof WhoIsThere) {
      text.connection = this;
      return Promise.resolve(NO_ANSWER);
    }
    const before = this.#before;
    if (before !== undefined && typeof text === 'string' && text.startsWith(before.text)) {
      this.#before = undefined;
      return this.#queryAfter(before, text);
    }
    const sql = typeof text === 'string' ? text : (text as { readonly text?: unknown } | null)?.text;
    if (typeof sql === 'string') {
      this.#reset.note(sql, { text, values, isGiven: this.#isGiven });
      if (isCursor(text)) {
        return this.#open(text, sql);
      }
    }
    const hasPromise = typeof values !== 'function' && typeof callback !== 'function' && !isSubmittable(text);
    return typeof sql === 'string' && hasPromise ? this.#run(sql, text, values) : this.#send(text, values, callback);
  }

  /** Opens a cursor, which keeps the connection to itself outside of the transactions of sessions alone. */
  #open(cursor: Cursor, text: string): unknown {
    if (this.#transaction === undefined || this.client.getTransactionStatus?.() === 'I') {
      followCursor(cursor, this);
      return this.#send(cursor);
    }
    this.#portals += 1;
    const transaction = this.#transaction;
    // Seam: pg-cursor/close
    const portal = new Portal({
      client: this.client,
      send: this.#send,
      isInTime: () => this.#transaction === transaction && this.client.getTransactionStatus?.() !== 'I',
      name: `session_${this.#portals}`,
      text,
      values: cursor.values ?? [],
    });
    cursor.read = async (rows) => {
      try {
        return await this.ask(() => portal.read(rows));
      } catch (error) {
        throw this.explain(error);
      }
    };
    cursor.close = () => this.ask(() => portal.close());
    return cursor;
  }

  /** Runs a statement in one round trip with others before it, whose answers nobody wants. */
  async runAfter(others: readonly string[], sql: string): Promise<unknown> {
    const text = others.map((other) => `${other}; `).join('');
    // Whoever has wrapped `query` sees what is sent.
    this.#before = { text, count: others.length };
    return this.client.query(text + sql);
  }

  /** Waits until the server has said all to a statement that failed. Tells whether it was in a transaction. */
  async wasInTransaction(): Promise<boolean> {
    if (!this.isOver && this.client.readyForQuery !== true) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.client.once('drain', resolve);
      this.client.once('end', resolve);
      await this.ask(() => promise);
      this.client.off('drain', resolve);
      this.client.off('end', resolve);
    }
    return this.isOver || this.isLeftOpen;
  }

  async #queryAfter(before: Before, text: string): Promise<unknown> {
    const sql = text.slice(before.text.length);
    this.#reset.note(sql, { text: sql, values: undefined, isGiven: this.#isGiven });
    try {
      return await this.#run(sql, text, undefined, before.count);
    } catch (error) {
      throw withoutBefore(before.text, error);
    }
  }

  /** @param skipped how many statements of the text come before the one that was asked for */
  async #run(sql: string, text: unknown, values: unknown, skipped = 0): Promise<unknown> {
    if (this.#loss instanceof SessionStateError) {
      throw this.#loss;
    }
    const isOwn = this.#isOwn(sql);
    const isCommit = COMMIT.test(sql);
    const isDead = this.#loss !== undefined || this.isOver;
    this.#assertAllowed(sql, isOwn, isCommit);
    let answer: Answer | readonly Answer[];
    this.#statement = sql;
    try {
      answer = await this.ask(() => this.#send(text, values) as Promise<Answer | readonly Answer[]>);
    } catch (error) {
      throw this.explain(error, isCommit && !isDead);
    } finally {
      if (this.#statement === sql) {
        this.#statement = undefined;
      }
    }
    if (skipped > 0) {
      answer = withoutFirst(skipped, answer);
    }
    if (isCommit && (answer as Answer).command === 'ROLLBACK') {
      throw new TransactionAbortedError();
    }
    this.#isCommitted ||= isCommit;
    if (!isOwn) {
      this.#assertStillOpen(sql, answer);
    }
    return answer;
  }

  /** Whether a statement is MikroORM's own, and not one that a user wrote. */
  #isOwn(sql: string): boolean {
    const beginning = isKyselyBegin(sql) ? this.#beginnings.getStore() : undefined;
    if (beginning?.isClaimed === false) {
      beginning.claim(sql, { lease: this, giveUpWait: () => undefined });
      this.#transaction = beginning;
      return true;
    }
    return this.#transaction === undefined || this.#transaction.isOwn;
  }

  #assertAllowed(sql: string, isOwn: boolean, isCommit: boolean): void {
    if (!isOwn) {
      this.#transaction?.assertAllowed(sql);
    }
    if (isCommit && this.client.getTransactionStatus?.() === 'I') {
      throw new SessionStateError(`There is no transaction of "${this.#label}" to commit: it had ended before.`);
    }
  }

  /** @throws {SessionStateError} for a statement that ended the transaction around it in a way that nobody foresaw */
  #assertStillOpen(sql: string, answer: Answer | readonly Answer[]): void {
    const answers = Array.isArray(answer) ? (answer as readonly Answer[]) : undefined;
    const isSuspect = answers?.some(({ command }) => ENDINGS.has(command)) === true;
    const isEnded = this.client.getTransactionStatus?.() === 'I';
    if (isEnded || (isSuspect && findTransactionControl(sql) !== undefined)) {
      throw this.#giveUp();
    }
  }

  #giveUp(): Error {
    const error = endedByStatement(this.#label);
    this.destroy(error);
    return error;
  }

  /** Says of what failed what became of the connection. */
  explain(error: unknown, isSentCommit = false): unknown {
    const state = findSqlState(error);
    this.isLossTold ||= endsConnection(error);
    if (state !== undefined && endsConnection(error)) {
      this.#loss ??= error as Error;
    }
    if (state === READ_ONLY && this.#transaction?.isReadOnly !== true) {
      this.#isSpent = true;
    }
    if (isGivenUp(error)) {
      // The answer may still come, and would be taken for another's.
      this.destroy(error as Error);
    }
    if (isSentCommit && endsConnection(error)) {
      this.unknownCommit = new CommitUnknownError(this.#label, error);
      return this.unknownCommit;
    }
    if (state === undefined && this.#loss !== undefined && this.#loss !== error) {
      return this.#loss instanceof SessionStateError ? this.#loss : explainLoss(this.#label, this.#loss);
    }
    return error;
  }

  #release(release: PoolClient['release'], error?: Error | boolean): void {
    this.#idleTimer?.stop();
    if (this.#transaction !== undefined) {
      this.#observed.observer?.gaveBack(this.#transaction.owner, this.#isCommitted);
    }
    const { isLeftOpen } = this;
    const label = this.#label;
    const isUsable = !isLeftOpen && !this.#isSpent && this.#loss === undefined;
    if (error === undefined && isUsable && this.#reset.isDue(this.#scope ?? this.#transaction?.owner)) {
      void this.#releaseReset(release);
      return;
    }
    release(error ?? (isUsable ? undefined : true));
    if (isLeftOpen && error === undefined) {
      throw leftOpen(label);
    }
  }

  /** Whoever asks the pool for the connection waits until it is as it was. */
  async #releaseReset(release: PoolClient['release']): Promise<void> {
    this.#giveBackReset = release;
    this.client.release = () => undefined;
    this.#scope = undefined;
    this.#transaction = undefined;
    const isInTime = unlessInTime(GRACE_MS, () =>
      this.destroy(new Error('it did not answer to the reset of its settings, and was given up')),
    );
    const isReset = await this.#reset.run(this.client, this.#send).then(
      () => true,
      () => false,
    );
    isInTime();
    const giveBack = this.#giveBackReset;
    this.#giveBackReset = undefined;
    giveBack?.(isReset ? undefined : true);
  }
}

function isSubmittable(query: unknown): boolean {
  return typeof (query as { readonly submit?: unknown } | null)?.submit === 'function';
}

/** The answer to what comes after the first statements of a text. */
function withoutFirst(count: number, answers: Answer | readonly Answer[]): Answer | readonly Answer[] {
  const rest = [answers].flat().slice(count);
  // An empty text has no answer of its own.
  return rest.length > 1 ? rest : (rest[0] ?? NO_ANSWER);
}

/** An error of the server counts characters from the beginning of what was sent. */
function withoutBefore(before: string, error: unknown): unknown {
  const { position } = (error ?? {}) as { position?: unknown };
  if (before !== '' && typeof position === 'string') {
    const rest = Number(position) - Array.from(before).length;
    Object.assign(error as object, { position: rest > 0 ? String(rest) : undefined });
  }
  return error;
}
