import { EventEmitter } from 'node:events';

import { isCursor } from '../session/pool/follow-cursor.js';
import { findSqlState } from '../session/pool/lost-connection.js';
import type { PoolClient } from '../session/pool/pool.js';
import { SessionStateError } from '../session/session-error.js';
import type { OuterTransaction } from './outer-transaction.js';
import { standForConnection } from './stand-for-connection.js';
import { terminated } from './terminated.js';
import { TestCursors } from './test-cursors.js';
import { readStatement, setsLocally } from './test-statement.js';

/** The code of an error of a statement in a failed transaction. */
const ABORTED = '25P02';

type Callback = (error: unknown, answer?: unknown) => void;

/**
 * Replaces a connection of the pool, in the transaction of a test. It turns transactions into savepoints. A statement
 * outside of a transaction has a savepoint of its own, so that its error undoes only itself.
 */
export class TestClient extends EventEmitter {
  readonly isStandIn = true;
  readonly connection: PoolClient['connection'];
  readonly #outer: OuterTransaction;
  readonly #giveBack: (client: TestClient) => void;
  readonly #over = Promise.withResolvers<never>();
  /** The savepoint that replaces the open transaction. */
  #transaction: string | undefined;
  /** The cursors that were opened outside of transactions. */
  readonly #cursors: TestCursors;
  #turn: Promise<unknown> = Promise.resolve();
  #pending = 0;
  #lastActive = performance.now();
  #bytesRead: number | undefined;
  #isOver = false;
  #isReleased = false;
  #setsLocally = false;
  /** A property, not a method: clients of node-postgres can be released without `this`. */
  readonly release = (): void => {
    if (!this.#isReleased) {
      this.#isReleased = true;
      this.#giveBack(this);
    }
  };
  readonly #onDrain = (): void => this.#drain();
  readonly #onEnd = (): void => this.#end();

  /** @param giveBack called once, when the user of the client has released it */
  constructor(outer: OuterTransaction, giveBack: (client: TestClient) => void) {
    super();
    this.#outer = outer;
    this.#giveBack = giveBack;
    this.#over.promise.catch(() => undefined);
    this.#cursors = new TestCursors(outer);
    this.connection = standForConnection(outer.client, () => this.#end());
    outer.events.on('drain', this.#onDrain);
    outer.events.on('end', this.#onEnd);
  }

  get processID(): number | null | undefined {
    return this.#outer.client.processID;
  }

  get readyForQuery(): boolean {
    return this.#pending === 0 && this.#outer.isReady;
  }

  /** Milliseconds since the end of the last statement. 0 while one runs, or while a cursor is open. */
  get idleFor(): number {
    const { bytesRead } = this.connection?.stream ?? {};
    if (bytesRead !== this.#bytesRead) {
      this.#bytesRead = bytesRead;
      this.#lastActive = performance.now();
    }
    const isBusy = this.#pending > 0 || (!this.#outer.isReady && !this.#cursors.areOpen);
    return isBusy ? 0 : performance.now() - this.#lastActive;
  }

  getTransactionStatus(): 'I' | 'T' | 'E' | null {
    return this.#transaction === undefined ? 'I' : (this.#outer.client.getTransactionStatus?.() ?? null);
  }

  getTypeParser(type: number, format: string): (value: string) => unknown {
    return this.#outer.client.getTypeParser?.(type, format) ?? String;
  }

  query(text: unknown, values?: unknown, callback?: unknown): unknown {
    const given = [values, callback].find((one) => typeof one === 'function') as Callback | undefined;
    if (typeof text === 'object' && text !== null && 'submit' in text) {
      this.#submit(text);
      return text;
    }
    const answer = this.#inTurn(() => this.#run(text, typeof values === 'function' ? undefined : values));
    if (given === undefined) {
      return answer;
    }
    answer.then((value) => given(null, value), given);
    return undefined;
  }

  async end(): Promise<void> {
    this.#end();
  }

  /** Ends running statements and cursors, so that the next client finds the transaction of the test in order. */
  async finish(): Promise<void> {
    // Ignored: an error here is an error of the whole connection, which the next statement gets.
    const closed = this.#cursors.close().catch(() => undefined);
    if (this.#isOver && !this.#outer.isReady) {
      await this.#outer.cancel();
    }
    await closed;
    await this.#turn;
    if (this.#transaction !== undefined) {
      await this.#outer.undo(this.#transaction);
    }
    if (this.#setsLocally) {
      await this.#outer.resetSettings();
    }
    this.#outer.events.off('drain', this.#onDrain);
    this.#outer.events.off('end', this.#onEnd);
    this.#isOver = true;
  }

  async #run(text: unknown, values: unknown): Promise<unknown> {
    const sql = String(typeof text === 'string' ? text : (text as { readonly text?: unknown } | null)?.text);
    this.#setsLocally ||= setsLocally(sql);
    const statement = readStatement(sql);
    switch (statement.kind) {
      case 'begin':
        return this.#begin(statement);
      case 'commit':
        return this.#commit();
      case 'rollback':
        return this.#rollBack();
      case 'control':
        throw new SessionStateError(
          `The statement "${statement.control}" was refused: it would end the transaction of the test. Send the ` +
            'commands that begin and end a transaction as separate statements, or use session.transactional().',
        );
      case 'other':
        return this.#transaction === undefined ? this.#runAlone(text, values) : this.#outer.send(text, values);
    }
  }

  async #begin({ isReadOnly, rest }: { readonly isReadOnly: boolean; readonly rest: string }): Promise<unknown> {
    if (this.#transaction === undefined) {
      await this.#cursors.end();
      this.#transaction = await this.#outer.mark(isReadOnly);
    }
    const begun = answerOf('BEGIN');
    return rest.trim() === '' ? begun : [begun, ...[await this.#outer.send(rest)].flat()];
  }

  async #commit(): Promise<unknown> {
    const savepoint = this.#transaction;
    if (savepoint === undefined) {
      return answerOf('COMMIT');
    }
    try {
      await this.#outer.keep(savepoint);
    } catch (error) {
      await this.#outer.undo(savepoint);
      if (findSqlState(error) !== ABORTED) {
        throw error;
      }
      return answerOf('ROLLBACK');
    } finally {
      this.#transaction = undefined;
    }
    return answerOf('COMMIT');
  }

  async #rollBack(): Promise<unknown> {
    const savepoint = this.#transaction;
    this.#transaction = undefined;
    if (savepoint !== undefined) {
      await this.#outer.undo(savepoint);
    }
    return answerOf('ROLLBACK');
  }

  async #runAlone(text: unknown, values: unknown): Promise<unknown> {
    await this.#cursors.end();
    const savepoint = await this.#outer.mark();
    try {
      const answer = await this.#outer.send(text, values);
      await this.#outer.keep(savepoint);
      return answer;
    } catch (error) {
      await this.#outer.undo(savepoint);
      throw error;
    }
  }

  #submit(query: object): void {
    const submit = (): void => {
      if (this.#isOver) {
        return;
      }
      this.#lastActive = performance.now();
      if (this.#transaction === undefined && isCursor(query)) {
        this.#cursors.add(query);
      }
      this.#outer.submit(query);
    };
    if (this.#pending === 0) {
      submit();
    } else {
      void this.#turn.then(submit);
    }
  }

  async #inTurn(work: () => Promise<unknown>): Promise<unknown> {
    this.#pending += 1;
    const answer = this.#turn.then(() => {
      this.#assertUsable();
      return work();
    });
    this.#turn = answer.then(
      () => undefined,
      () => undefined,
    );
    try {
      return await Promise.race([answer, this.#over.promise]);
    } finally {
      this.#pending -= 1;
      this.#lastActive = performance.now();
      if (this.readyForQuery) {
        this.#drain();
      }
    }
  }

  #assertUsable(): void {
    if (this.#isOver || this.#isReleased) {
      throw terminated();
    }
  }

  #drain(): void {
    if (this.readyForQuery) {
      this.emit('drain');
    }
  }

  #end(): void {
    if (!this.#isOver) {
      this.#isOver = true;
      this.#over.reject(terminated());
      this.emit('end');
    }
  }
}

function answerOf(command: string): unknown {
  return { command, rows: [], rowCount: null };
}
