import { AsyncLocalStorage } from 'node:async_hooks';

import { reportEndFailure } from '../../session/scope/report-end-failure.js';
import type { ScopeTransaction } from '../../session/transaction/scope-transaction.js';
import type { HttpOptions, HttpRequest } from './http-options.js';
import type { HttpScope } from './http-scope.js';
import type { WantedTransaction } from '../session-connections.js';

interface Part {
  readonly transaction: ScopeTransaction;
  readonly http: HttpOptions;
}

/**
 * The unit of work of a request: a transaction on each connection whose options ask for one. All end together, once.
 */
export class HttpTransaction {
  readonly #scope: HttpScope;
  readonly #request: HttpRequest;
  readonly #parts: Part[] = [];
  /**
   * The context of the request. The code that writes an answer may run in another context, such as an inner
   * transaction.
   */
  readonly #enter = AsyncLocalStorage.snapshot();
  #end: Promise<void> | undefined;
  #isOver = false;
  #hasFailed = false;

  /** Call this in the scope of the request. */
  constructor(scope: HttpScope, request: HttpRequest) {
    this.#scope = scope;
    this.#request = request;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether an error was thrown in the request while the transaction was open. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  async begin(wanted: readonly WantedTransaction[]): Promise<void> {
    for (const { source, options, http } of wanted) {
      this.#parts.push({ transaction: await source.begin(this.#scope, options), http });
    }
  }

  /**
   * Commits before an answer. Rolls back instead when its status is 400 or more, or when the client has disconnected.
   *
   * @throws the error to answer with, when the commit failed
   */
  answer(status: number): Promise<void> {
    return this.#finish(() => (status >= 400 || this.#scope.isAbandoned ? this.#rollBack() : this.#commit()));
  }

  /** Rolls back because of an error. When an answer has ended the transaction already, only waits for that end. */
  async fail(): Promise<void> {
    this.#hasFailed = true;
    await this.#finish(() => this.#rollBack()).catch(() => undefined);
  }

  #finish(work: () => Promise<void>): Promise<void> {
    this.#end ??= this.#scope
      .keepOpen(() => this.#enter(work))
      .finally(() => {
        this.#isOver = true;
      });
    return this.#end;
  }

  /** Flushes all connections before the first commit, so that an error of one prevents the commit of the others. */
  async #commit(): Promise<void> {
    const others = this.#parts.length > 1 ? this.#parts : [];
    for (const part of others) {
      await this.#attempt(part, (transaction) => transaction.flush());
    }
    for (const part of this.#parts) {
      await this.#attempt(part, (transaction) => transaction.commit());
    }
  }

  async #attempt({ transaction, http }: Part, step: (transaction: ScopeTransaction) => Promise<void>): Promise<void> {
    try {
      await step(transaction);
    } catch (error) {
      await this.#rollBack();
      throw http.commitError?.(error, this.#request) ?? error;
    }
  }

  async #rollBack(): Promise<void> {
    for (const { transaction } of this.#parts) {
      await transaction.rollBack().catch((error: unknown) => reportEndFailure(this.#scope, error));
    }
  }
}
