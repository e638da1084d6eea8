import { reportEndFailure } from '../../session/scope/report-end-failure.js';
import type { LiveScope } from '../../session/scope/live-scope.js';

/**
 * The events of one subscription. GraphQL asks for the next event when it has delivered the last one. Then the scope of
 * the last event ends.
 */
export class SubscriptionEvents implements AsyncIterableIterator<unknown, unknown> {
  readonly #source: AsyncIterator<unknown, unknown>;
  #delivered: LiveScope | undefined;

  constructor(source: AsyncIterable<unknown>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  begin(scope: LiveScope): void {
    this.#delivered = scope;
  }

  async next(): Promise<IteratorResult<unknown, unknown>> {
    await this.#end();
    return this.#source.next();
  }

  async return(): Promise<IteratorResult<unknown, unknown>> {
    await this.#end();
    return this.#source.return?.() ?? { value: undefined, done: true };
  }

  async throw(error: unknown): Promise<IteratorResult<unknown, unknown>> {
    await this.#end();
    if (this.#source.throw === undefined) {
      throw error;
    }
    return this.#source.throw(error);
  }

  async #end(): Promise<void> {
    const scope = this.#delivered;
    this.#delivered = undefined;
    await scope?.end('returned').catch((error: unknown) => reportEndFailure(scope, error));
  }
}
