import type { LeaseOwner } from '../pool/begun-transaction.js';
import { ConnectionLoss } from '../pool/connection-loss.js';
import { ConnectionUse, type ConnectionUseOptions } from '../pool/connection-use.js';
import type { ConnectionFacts } from '../pool/pool-facts.js';
import { leftOpen, transactionEnded } from '../pool/unexpected-end.js';
import type { DriverKnowledge } from './driver-knowledge.js';
import { DriverStatements } from './driver-statements.js';
import { DriverTransaction } from './driver-transaction.js';
import type { KyselyConnection } from './kysely-driver.js';
import type { NativeLink, OpenedLink } from './native-link.js';

export interface DriverLeaseOptions extends ConnectionUseOptions {
  readonly scope: LeaseOwner | undefined;
  readonly knowledge: DriverKnowledge;
  /** When the connection is replaced after its use by a scope. */
  readonly isReplaced: 'never' | 'changed' | 'always';
  readonly onRelease: (lease: DriverLease, ready: Promise<unknown> | undefined) => void;
}

/** One use of a connection of a driver: from its check-out until it is given back. */
export class DriverLease {
  /** The connection of Kysely. */
  readonly connection: KyselyConnection;
  readonly link: NativeLink;
  readonly knowledge: DriverKnowledge;
  readonly use: ConnectionUse;
  readonly loss = new ConnectionLoss();
  readonly transaction: DriverTransaction;
  readonly statements: DriverStatements;
  /** Settles when the connection ends. */
  readonly over: Promise<void>;
  readonly #options: DriverLeaseOptions;
  readonly #over = Promise.withResolvers<never>();
  #isReleased = false;

  constructor({ connection, link }: OpenedLink, options: DriverLeaseOptions) {
    this.connection = connection;
    this.link = link;
    this.knowledge = options.knowledge;
    this.#options = options;
    this.use = new ConnectionUse(options, () => this.transaction.isOpen);
    this.use.scope = options.scope;
    this.transaction = new DriverTransaction(this);
    this.statements = new DriverStatements(this);
    this.over = this.#over.promise.catch(() => undefined);
    link.onEnd = (reason) => this.#end(reason);
  }

  get facts(): ConnectionFacts {
    return {
      owner: this.use.owner,
      processId: this.link.processId,
      hasFailed: this.loss.cause !== undefined || this.transaction.isAborted,
      statement: this.use.running,
    };
  }

  /** Waits for `work`, at most until the connection ends, which ends all work on it. */
  whileAlive<Result>(work: () => Promise<Result>): Promise<Result> {
    return Promise.race([work(), this.#over.promise]);
  }

  /**
   * Ends the connection without a word to the database, which then rolls back. Running statements fail with `reason`.
   */
  destroy(reason: Error): void {
    if (this.#isReleased) {
      return;
    }
    this.loss.note(reason);
    const ended = this.link.destroy(reason, this.connection, this.statements.closeStreams());
    this.#end(reason, ended);
  }

  release(): void {
    if (this.#isReleased) {
      return;
    }
    const isLeftOpen = this.link.isInTransaction === true;
    const closed = this.statements.closeStreams();
    const isToBeReplaced = this.#isToBeReplaced || (this.knowledge.canReplace && closed !== undefined);
    const ended =
      isLeftOpen || this.loss.cause !== undefined || isToBeReplaced
        ? this.link.destroy(new Error('it was not left as it was found'), this.connection, closed)
        : closed;
    this.#giveBack(ended);
    if (isLeftOpen && this.loss.cause === undefined) {
      throw leftOpen(this.use.label);
    }
  }

  /**
   * Sends a statement, or something else, to the database. Notes what an error means for the connection and the
   * transaction.
   */
  send<Answer>(send: () => Promise<Answer>, statement?: string): Promise<Answer> {
    return this.use.ask(async () => {
      try {
        return await send();
      } catch (error) {
        await this.#noteFailure(error);
        throw error;
      }
    }, statement);
  }

  /** @throws {SessionError} when the connection has been given back */
  assertThere(): void {
    if (this.#isReleased) {
      throw this.#explainEnd();
    }
  }

  /** @throws {SessionError} when there is no connection or no transaction any more */
  assertUsable(): void {
    if (this.#isReleased || this.loss.cause !== undefined) {
      throw this.#explainEnd();
    }
    this.transaction.assertGoesOn();
  }

  get #isToBeReplaced(): boolean {
    const { isReplaced, knowledge } = this.#options;
    return (
      knowledge.canReplace && (isReplaced === 'always' || (this.statements.haveChanged && this.use.owner !== undefined))
    );
  }

  async #noteFailure(error: unknown): Promise<void> {
    if (this.loss.cause !== undefined || this.knowledge.endsConnection(error)) {
      this.loss.isTold = true;
      this.loss.note(error as Error);
    } else {
      await this.#refresh();
      await this.transaction.noteFailure(error);
    }
  }

  async #refresh(): Promise<void> {
    await Promise.race([this.link.refresh?.(), this.over]);
  }

  #explainEnd(): Error {
    const { label } = this.use;
    return this.loss.explain(label) ?? transactionEnded(label);
  }

  #end(reason: Error, ended?: Promise<unknown>): void {
    this.loss.note(reason);
    this.#over.reject(this.#explainEnd());
    this.#giveBack(ended);
  }

  /** @param ready settles when another scope can use the connection. Undefined where that is now */
  #giveBack(ready: Promise<unknown> | undefined): void {
    if (!this.#isReleased) {
      this.#isReleased = true;
      this.use.end(this.transaction.isCommitted);
      this.transaction.end();
      this.link.onEnd = undefined;
      this.#options.onRelease(this, ready);
    }
  }
}
