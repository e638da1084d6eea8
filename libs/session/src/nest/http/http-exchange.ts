import { types } from 'node:util';

import { describeThrown } from '../../session/describe-thrown.js';
import { reportEndFailure } from '../../session/scope/report-end-failure.js';
import { AnswerHeaders, type HeaderHolder } from './answer-headers.js';
import { aroundExceptions } from './hook-exception-layer.js';
import { HeldAnswer } from './held-answer.js';
import type { HttpRequest } from './http-options.js';
import type { HttpScope } from './http-scope.js';
import { HttpTransaction } from './http-transaction.js';
import type { AnyResponse } from './watch-response.js';
import type { WantedTransaction } from '../session-connections.js';

/** The response that a handler gets: Node's response under Express, a wrapper of it under Fastify. */
export type PlatformResponse = HeaderHolder & {
  readonly raw?: AnyResponse;
  readonly sent?: boolean;
  readonly statusCode: number;
  send?(body: unknown): unknown;
};

/** The arguments of a handler, and the scope of its request. */
export interface HandlerCall {
  readonly scope: HttpScope;
  readonly request: HttpRequest;
  readonly response: PlatformResponse;
  readonly next: unknown;
}

/** A request that is a unit of work, from its handler to its answer. */
export class HttpExchange {
  readonly #call: HandlerCall;
  readonly #raw: AnyResponse;
  readonly #headers: AnswerHeaders;
  readonly #transaction: HttpTransaction;
  readonly #held: HeldAnswer;
  #answering: Promise<unknown> | undefined;

  constructor(call: HandlerCall) {
    const { scope, request, response } = call;
    this.#call = call;
    this.#raw = rawOf(response);
    this.#headers = new AnswerHeaders(response);
    this.#transaction = new HttpTransaction(scope, request);
    this.#held = HeldAnswer.watch(this.#raw, {
      transaction: this.#transaction,
      onDrop: () => this.#forgetAnswer(),
      onFailure: (error) => this.#report(error),
    });
    aroundExceptions(this.#raw, (answer) => this.#afterRollback(answer));
  }

  get isOver(): boolean {
    return this.#transaction.isOver;
  }

  async run(wanted: readonly WantedTransaction[], handler: () => unknown): Promise<unknown> {
    await this.#transaction.begin(wanted);
    const outcome = await this.#held.writeBy(handler);
    if (this.#answering !== undefined) {
      // NestJS 11 neither awaits a redirect nor sees its failure.
      await this.#answering.catch((error: unknown) => this.#report(error));
      return this.#call.response;
    }
    // The answer of an exception filter may still come. For Fastify, a returned undefined would be the reply.
    return this.#transaction.hasFailed ? this.#call.response : outcome;
  }

  /** Sends an answer after the end of the transaction. */
  answer(status: number, send: () => unknown): Promise<unknown> {
    this.#answering = this.#answer(status, send);
    return this.#answering;
  }

  async #answer(status: number, send: () => unknown): Promise<unknown> {
    try {
      await this.#transaction.answer(status);
    } catch (error) {
      this.#forgetAnswer();
      throw error;
    } finally {
      this.#answering = undefined;
    }
    return send();
  }

  #afterRollback(answer: () => void): void {
    if (this.isOver) {
      answer();
      return;
    }
    this.#transaction
      .fail()
      .then(answer)
      .catch((error: unknown) => this.#report(error));
  }

  /** Removes the headers of the answer, such as its length and its cookies, from the error that replaces it. */
  #forgetAnswer(): void {
    this.#headers.restore();
    this.#raw.statusCode = 500;
  }

  /** Passes an error that comes too late for the route to the exception filters of the application. */
  #report(thrown: unknown): void {
    const { scope, response, next } = this.#call;
    const error = types.isNativeError(thrown) ? thrown : new Error(describeThrown(thrown), { cause: thrown });
    try {
      if (response.send === undefined || response.raw === undefined) {
        (next as (error: unknown) => void)(error);
      } else if (response.sent === true) {
        // The handler took over the response from Fastify's reply (`hijack`).
        this.#raw.end();
      } else {
        response.send(error);
      }
    } catch (failure) {
      reportEndFailure(scope, failure);
      this.#raw.destroy();
    }
  }
}

/** Returns the response of Node. */
export function rawOf(response: PlatformResponse): AnyResponse {
  return response.raw ?? (response as unknown as AnyResponse);
}
