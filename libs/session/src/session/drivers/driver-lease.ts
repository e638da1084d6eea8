import type { BegunTransaction, LeaseOwner } from '../pool/begun-transaction.js';
import { IdleTimer } from '../pool/idle-timer.js';
import { explainLoss } from '../pool/lost-connection.js';
import { Silence } from '../pool/silence.js';
import { endedByStatement, leftOpen } from '../pool/unexpected-end.js';
import { CommitUnknownError, SessionStateError, TransactionAbortedError } from '../session-error.js';
import type { DriverKnowledge } from './driver-knowledge.js';
import type { CompiledQuery, KyselyConnection, TransactionSettings } from './kysely-driver.js';
import type { NativeLink, OpenedLink } from './native-link.js';

export interface DriverLeaseOptions {
  readonly scope: LeaseOwner | undefined;
  readonly knowledge: DriverKnowledge;
  /** Whether the connection is replaced when the scope is done with it, and not only when it was changed. */
  readonly isReplaced: 'never' | 'changed' | 'always';
  readonly heldIdleAfter: number | undefined;
  readonly onHeldIdle: (owner: LeaseOwner, milliseconds: number) => void;
  readonly onRelease: (lease: DriverLease) => void;
}

type Send<Answer> = () => Promise<Answer>;

const NOBODY: LeaseOwner = { label: 'a connection of the pool' };

/** Knows what goes on on one connection of a driver, from the time that somebody is given it until it is given back. */
export class DriverLease {
  /** What is handed out to Kysely: of no use any more when the connection was given back. */
  readonly handle: KyselyConnection;
  /** Kysely's own. */
  readonly connection: KyselyConnection;
  /** Whether a statement has failed because the connection was lost. */
  isLossTold = false;
  /** What the last commit failed with whose end is unknown. */
  unknownCommit: CommitUnknownError | undefined;
  readonly #link: NativeLink;
  readonly #options: DriverLeaseOptions;
  readonly #silence = new Silence();
  readonly #idleTimer: IdleTimer | undefined;
  readonly #over = Promise.withResolvers<never>();
  readonly #streams = new Set<AsyncIterableIterator<unknown>>();
  #transaction: BegunTransaction | undefined;
  /** Whether a transaction was begun, and has not ended. */
  #isBegun = false;
  /** Why the database has rolled back the transaction. */
  #abort: { readonly cause: unknown } | undefined;
  #isChanged = false;
  #isReleased = false;
  /** What ended the connection. */
  #loss: Error | undefined;

  constructor({ connection, link }: OpenedLink, options: DriverLeaseOptions) {
    this.connection = connection;
    this.#link = link;
    this.#options = options;
    this.handle = this.#createHandle(connection);
    const { heldIdleAfter, onHeldIdle } = options;
    if (heldIdleAfter !== undefined) {
      this.#idleTimer = new IdleTimer(heldIdleAfter, () => {
        if (this.heldIdleFor > 0) {
          onHeldIdle(this.#user, this.heldIdleFor);
        }
      });
    }
    this.#over.promise.catch(() => undefined);
    link.onEnd = (reason) => this.#end(reason);
  }

  /** Milliseconds for which no statement has run in the transaction that is open on it; 0 where there is none. */
  get heldIdleFor(): number {
    return this.#isBegun ? this.#silence.pause : 0;
  }

  isOf(scope: LeaseOwner): boolean {
    return this.#options.scope === scope || this.#transaction?.owner === scope;
  }

  /** Waits for `work`, or for the end of the connection, which is the end of all that goes on on it. */
  whileAlive<Result>(work: Send<Result>): Promise<Result> {
    return Promise.race([work(), this.#over.promise]);
  }

  /** Ends the connection without asking the database, which rolls back. Its statements fail with `reason`. */
  destroy(reason: Error): void {
    for (const stream of this.#streams) {
      void stream.return?.();
    }
    this.#loss ??= reason;
    this.#link.destroy(reason, this.connection);
    this.#end(reason);
  }

  /** Begins the transaction that an EntityManager wants, or somebody else. One that cannot be begun has no connection. */
  async begin(
    wanted: BegunTransaction | undefined,
    { accessMode }: TransactionSettings,
    begin: Send<void>,
  ): Promise<void> {
    try {
      await this.#send(begin);
    } catch (error) {
      // Kysely would never give it back.
      this.destroy(error as Error);
      throw error;
    }
    this.#isBegun = true;
    if (wanted?.isClaimed === false) {
      wanted.claim(`begin ${accessMode ?? ''}`, { lease: this, giveUpWait: () => undefined });
      this.#transaction = wanted;
    }
  }

  async commit(commit: Send<void>): Promise<void> {
    this.#assertThere();
    try {
      await this.#send(commit);
    } catch (error) {
      if (this.#options.knowledge.endsConnection(error)) {
        this.unknownCommit = new CommitUnknownError(this.#user.label, error);
        throw this.unknownCommit;
      }
      throw error;
    }
    this.#isBegun = false;
  }

  async rollBack(rollBack: Send<void>): Promise<void> {
    if (this.#isReleased) {
      throw this.#explainEnd();
    }
    const { isInTransaction } = this.#link;
    if (isInTransaction === true || (isInTransaction === undefined && this.#abort === undefined)) {
      try {
        await this.#send(rollBack);
      } catch (error) {
        // Kysely would never give it back.
        this.destroy(error as Error);
        throw error;
      }
    }
    this.#isBegun = false;
  }

  /** Begins a part of the transaction, or ends it well. */
  async mark(send: Send<void>): Promise<void> {
    this.#assertThere();
    await this.#send(send);
  }

  /** Undoes a part of the transaction. Where all of it is undone, that is too. */
  async undo(send: Send<void>): Promise<void> {
    if (this.#abort === undefined) {
      await this.mark(send);
    }
  }

  release(): void {
    if (this.#isReleased) {
      return;
    }
    const isLeftOpen = this.#link.isInTransaction === true;
    if (isLeftOpen || this.#loss !== undefined || this.#isToBeReplaced) {
      this.#link.destroy(new Error('its settings were changed'), this.connection);
    }
    this.#giveBack();
    if (isLeftOpen && this.#loss === undefined) {
      throw leftOpen(this.#user.label);
    }
  }

  get #user(): LeaseOwner {
    return this.#transaction?.owner ?? this.#options.scope ?? NOBODY;
  }

  get #isToBeReplaced(): boolean {
    const { isReplaced, knowledge, scope } = this.#options;
    return (
      knowledge.canReplace &&
      (isReplaced === 'always' || (this.#isChanged && (scope ?? this.#transaction) !== undefined))
    );
  }

  #createHandle(connection: KyselyConnection): KyselyConnection {
    const { cancelQuery, collectSessionInfo, killSession } = connection;
    return {
      executeQuery: (query, options) => this.#run(query, () => connection.executeQuery(query, options)),
      streamQuery: (query, chunkSize, options) =>
        this.#read(query, () => connection.streamQuery(query, chunkSize, options)),
      // Sessions with a signal want it. Where a statement blocks the process there is none to cancel.
      cancelQuery: async (control) => cancelQuery?.call(connection, control),
      ...(collectSessionInfo && { collectSessionInfo: () => collectSessionInfo.call(connection) }),
      ...(killSession && { killSession: (control) => killSession.call(connection, control) }),
    };
  }

  async #run(query: CompiledQuery, send: Send<unknown>): Promise<unknown> {
    this.#assertAllowed(query);
    const answer = await this.#send(send);
    if (this.#isBegun && this.#transaction !== undefined && this.#link.isInTransaction === false) {
      throw this.#giveUp();
    }
    return answer;
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
        const next = await this.#send(() => stream.next() as Promise<IteratorResult<unknown, void>>);
        if (next.done === true) {
          return;
        }
        yield next.value;
      }
    } finally {
      this.#streams.delete(stream);
      await stream.return?.();
    }
  }

  /** @throws {SessionError} for a statement that cannot run, or would end the transaction */
  #assertAllowed({ sql }: CompiledQuery): void {
    this.#assertThere();
    if (this.#streams.size > 0) {
      throw new SessionStateError(
        `A statement of "${this.#user.label}" came while a stream of its transaction was half read, which keeps the ` +
          'connection to itself. Read the stream to its end before, or leave its loop with break.',
      );
    }
    const { lexis, findImplicitCommit, changesConnection, name } = this.#options.knowledge;
    this.#isChanged ||= changesConnection(sql);
    if (this.#transaction === undefined || !this.#isBegun) {
      return;
    }
    this.#transaction.assertAllowed(sql, lexis);
    const statement = findImplicitCommit(sql);
    if (statement !== undefined) {
      throw new SessionStateError(
        `The statement "${statement}" was refused: ${name} would commit the transaction of "${this.#user.label}" before ` +
          'it. Run it outside of a transaction.',
      );
    }
  }

  /** @throws {SessionError} where there is no connection any more, or no transaction */
  #assertThere(): void {
    if (this.#isReleased || this.#loss !== undefined) {
      throw this.#explainEnd();
    }
    if (this.#abort !== undefined) {
      throw new TransactionAbortedError(this.#abort);
    }
  }

  async #send<Answer>(send: Send<Answer>): Promise<Answer> {
    this.#silence.ask();
    try {
      return await send();
    } catch (error) {
      throw await this.#explain(error);
    } finally {
      this.#silence.answer();
      this.#idleTimer?.start();
    }
  }

  /** Says of what failed what became of the connection and of the transaction. */
  async #explain(error: unknown): Promise<unknown> {
    const { knowledge } = this.#options;
    if (knowledge.endsConnection(error)) {
      this.isLossTold = true;
      this.#loss ??= error as Error;
      return error;
    }
    if (this.#isBegun && (this.#link.isInTransaction === false || (await this.#hasRolledBack(error)))) {
      this.#abort ??= { cause: error };
    }
    return error;
  }

  async #hasRolledBack(error: unknown): Promise<boolean> {
    return this.#options.knowledge.hasRolledBack(error, async (sql) => {
      const answer = await this.connection.executeQuery({ sql, parameters: [] });
      return (answer as { readonly rows: readonly Readonly<Record<string, unknown>>[] }).rows;
    });
  }

  #explainEnd(): Error {
    if (this.#loss instanceof SessionStateError) {
      return this.#loss;
    }
    return this.#loss === undefined
      ? new SessionStateError(`The transaction of "${this.#user.label}" has ended.`)
      : explainLoss(this.#user.label, this.#loss);
  }

  #giveUp(): Error {
    const error = endedByStatement(this.#user.label);
    this.destroy(error);
    return error;
  }

  #end(reason: Error): void {
    this.#loss ??= reason;
    this.#over.reject(this.#explainEnd());
    this.#giveBack();
  }

  #giveBack(): void {
    if (!this.#isReleased) {
      this.#isReleased = true;
      this.#isBegun = false;
      this.#idleTimer?.stop();
      this.#link.onEnd = undefined;
      this.#options.onRelease(this);
    }
  }
}
