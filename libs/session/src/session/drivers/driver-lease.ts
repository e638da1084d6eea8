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
  readonly onRelease: (lease: DriverLease) => void;
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
    this.#over.promise.catch(() => undefined);
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
    this.link.destroy(reason, this.connection);
    const closing = this.statements.closeStreams();
    if (this.knowledge.canReplace || !this.statements.haveStreams) {
      this.#end(reason);
      return;
    }
    // The only connection can roll back when no stream reads from it any more.
    void closing.then(() => {
      this.link.destroy(reason, this.connection);
      this.#end(reason);
    });
  }

  /** Waits for work that no statement needs, at most until the connection ends. */
  async untilEnd(work: Promise<unknown> | undefined): Promise<void> {
    await Promise.race([work, this.#over.promise.catch(() => undefined)]);
  }

  release(): void {
    if (this.#isReleased) {
      return;
    }
    const isLeftOpen = this.link.isInTransaction === true;
    if (isLeftOpen || this.loss.cause !== undefined || this.#isToBeReplaced) {
      this.link.destroy(new Error('its settings were changed'), this.connection);
    }
    this.#giveBack();
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
    if (this.knowledge.endsConnection(error)) {
      this.loss.isTold = true;
      this.loss.note(error as Error);
    } else {
      await this.link.learn?.();
      await this.transaction.noteFailure(error);
    }
  }

  #explainEnd(): Error {
    const { label } = this.use;
    return this.loss.explain(label) ?? transactionEnded(label);
  }

  #end(reason: Error): void {
    this.loss.note(reason);
    this.#over.reject(this.#explainEnd());
    this.#giveBack();
  }

  #giveBack(): void {
    if (!this.#isReleased) {
      this.#isReleased = true;
      this.use.end(this.transaction.isCommitted);
      this.transaction.end();
      this.link.onEnd = undefined;
      this.#options.onRelease(this);
    }
  }
}
