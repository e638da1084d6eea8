import type { AbstractHttpAdapter } from '@nestjs/core';

import { checkSeam, type Seam } from '../../session/assert-seam.js';
import { hookExceptionLayer } from './hook-exception-layer.js';
import { type HandlerCall, HttpExchange, type PlatformResponse, rawOf } from './http-exchange.js';
import { checkSseMetadata } from './is-sse-route.js';
import type { SessionConnections } from '../session-connections.js';

type Answer = (response: PlatformResponse, ...args: unknown[]) => unknown;

const ANSWERS: Seam = {
  seam: 'nestjs/http-answers',
  of: '@nestjs/core',
  loss: 'The exception filters of a route do not see that the transaction of its request could not be committed',
};

/** The methods of an adapter that send the result of a handler, and how to find the status of the answer in each. */
const STATUS: Readonly<Record<string, (response: PlatformResponse, args: readonly unknown[]) => unknown>> = {
  reply: (response, [, status]) => status ?? response.statusCode,
  redirect: (_response, [status]) => status,
  render: (response) => response.statusCode,
};

/** Makes requests units of work, where the options of a connection say so, over Express and over Fastify. */
export class HttpTransactions {
  readonly #connections: SessionConnections;
  readonly #exchanges = new WeakMap<object, HttpExchange>();

  constructor(connections: SessionConnections) {
    this.#connections = connections;
  }

  /**
   * Makes the answers of NestJS wait for the commit. An error of the commit is then an error of the route, which
   * exception filters get before any part of the answer exists.
   */
  install(adapter: AbstractHttpAdapter): void {
    if (!this.#connections.wantTransactions) {
      return;
    }
    checkSseMetadata();
    hookExceptionLayer();
    // Seam: nestjs/http-answers
    checkSeam(adapter, Object.keys(STATUS), ANSWERS);
    const methods = adapter as unknown as Record<string, Answer | undefined>;
    for (const [method, statusOf] of Object.entries(STATUS)) {
      const answer = methods[method];
      if (answer !== undefined) {
        methods[method] = (response, ...args) => {
          const exchange = this.#exchanges.get(rawOf(response));
          const send = (): unknown => answer.call(adapter, response, ...args);
          return exchange === undefined || exchange.isOver
            ? send()
            : exchange.answer(statusOf(response, args) as number, send);
        };
      }
    }
  }

  /** Runs a handler in the transaction of its request. Begins the transaction if there is none yet. */
  run(call: HandlerCall, handler: () => unknown): unknown {
    const raw = rawOf(call.response);
    if (this.#exchanges.has(raw)) {
      return handler();
    }
    const wanted = this.#connections.transactionsOf(call.request);
    if (wanted.length === 0) {
      return handler();
    }
    const exchange = new HttpExchange(call);
    this.#exchanges.set(raw, exchange);
    return exchange.run(wanted, handler);
  }
}
