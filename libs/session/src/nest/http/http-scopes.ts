import type { IncomingMessage, ServerResponse } from 'node:http';

import { type OnModuleInit, RequestMethod } from '@nestjs/common';
import { type AbstractHttpAdapter, HttpAdapterHost } from '@nestjs/core';

import { checkSeam, type Seam } from '../../session/assert-seam.js';
import type { ScopeStorage } from '../../session/scope/scope-storage.js';
import { ClientScopes } from '../messages/client-scopes.js';
import { settleWithStream } from './settle-with-stream.js';
import type { HttpInfo } from './http-options.js';
import type { PlatformResponse } from './http-exchange.js';
import { HttpScope } from './http-scope.js';
import { HttpTransactions } from './http-transactions.js';
import { isSseRoute } from './is-sse-route.js';
import type { SessionConnections } from '../session-connections.js';
import { isWithoutTransaction } from './without-transaction.js';

const SCOPE = Symbol('session scope');

const HANDLERS: Seam = {
  seam: 'nestjs/http-verbs',
  of: '@nestjs/core',
  loss: 'The session of a request does not wait for its handler',
};
const VERBS = ['get', 'post', 'put', 'patch', 'delete', 'head', 'options', 'all'];

type ScopedRequest = IncomingMessage & { [SCOPE]?: HttpScope };
/** The request that a handler gets: Node's request under Express, a wrapper of it under Fastify. */
type HandlerRequest = ScopedRequest & { readonly raw?: ScopedRequest };
type Handler = (request: HandlerRequest, response: unknown, next: unknown) => unknown;
type Register = (...args: unknown[]) => unknown;

/** Opens a scope for each HTTP request, over Express and over Fastify. */
export class HttpScopes implements OnModuleInit {
  readonly #host: HttpAdapterHost;
  readonly #storage: ScopeStorage;
  readonly #connections: SessionConnections;
  readonly #transactions: HttpTransactions;
  readonly #getInfo: HttpInfo;
  readonly #waiting = new ClientScopes<HttpScope>();

  constructor(host: HttpAdapterHost, storage: ScopeStorage, connections: SessionConnections) {
    this.#host = host;
    this.#storage = storage;
    this.#connections = connections;
    this.#transactions = new HttpTransactions(connections);
    this.#getInfo = (request) => connections.httpInfo(request);
    // Under NestFactory this emits at once, under a testing module later. A standalone application has no adapter.
    host.init$.subscribe(() => {
      const adapter = host.httpAdapter as AbstractHttpAdapter | null;
      if (adapter !== null) {
        this.#install(adapter);
      }
    });
  }

  /** By now, all connections are registered. */
  onModuleInit(): void {
    const adapter = this.#host.httpAdapter as AbstractHttpAdapter | null;
    if (adapter !== null) {
      this.#transactions.install(adapter);
    }
  }

  #install(adapter: AbstractHttpAdapter): void {
    adapter.use((request: ScopedRequest, response: ServerResponse, next: () => void) => {
      // A connection that becomes a WebSocket stays open. Its messages get scopes, not the request that opened it.
      if (!this.#connections.wantHttpScopes || isUpgrade(request)) {
        next();
        return;
      }
      const scope = new HttpScope({
        request,
        response,
        live: this.#storage.live,
        getInfo: this.#getInfo,
        waiting: this.#waiting,
      });
      request[SCOPE] = scope;
      this.#storage.observer?.entered?.(scope);
      this.#storage.run(scope, next);
    });
    this.#watchHandlers(adapter);
  }

  /**
   * Makes every route report to its scope when its handler has settled. That may be after the end of the response, or
   * without a response when the client has disconnected. An interceptor could report too, but then NestJS takes a slow
   * path for every route, which costs a third of its requests per second.
   */
  #watchHandlers(adapter: AbstractHttpAdapter): void {
    // Seam: nestjs/http-verbs
    checkSeam(adapter, VERBS, HANDLERS);
    const methods = adapter as unknown as Record<string, Register | undefined>;
    for (const verb of Object.values(RequestMethod).filter((name) => typeof name === 'string')) {
      const method = verb.toLowerCase();
      const register = methods[method];
      if (register !== undefined) {
        methods[method] = (...args) => {
          const handler = args.pop();
          return register.call(
            adapter,
            ...args,
            typeof handler === 'function' ? this.#watch(handler as Handler) : handler,
          );
        };
      }
    }
  }

  #watch(handler: Handler): Handler {
    // Server-sent events may last for hours.
    const isTransactional = !isSseRoute(handler) && !isWithoutTransaction(handler);
    const watched: Handler = (request, response, next) => {
      const scope = request[SCOPE] ?? request.raw?.[SCOPE];
      if (scope === undefined) {
        return handler(request, response, next);
      }
      scope.enterHandler(request);
      settleWithStream(response);
      const leave = (): void => scope.leaveHandler();
      try {
        const work = (): unknown => handler(request, response, next);
        const call = { scope, request, response: response as PlatformResponse, next };
        const run =
          isTransactional && this.#connections.wantTransactions ? () => this.#transactions.run(call, work) : work;
        const outcome = this.#runIn(scope, run);
        Promise.resolve(outcome).then(leave, leave);
        return outcome;
      } catch (error) {
        leave();
        throw error;
      }
    };
    return copyRoute(handler, watched);
  }

  /** Enters the scope again after Fastify has left it: Fastify parses the body in the context of the socket. */
  #runIn(scope: HttpScope, work: () => unknown): unknown {
    return this.#storage.current === scope ? work() : this.#storage.run(scope, work);
  }
}

function isUpgrade(request: IncomingMessage & { readonly upgrade?: boolean }): boolean {
  return request.upgrade === true;
}

/** Fastify's adapter reads the version, the schema and other options of a route from properties of its handler. */
function copyRoute(from: Handler, to: Handler): Handler {
  for (const key of Reflect.getMetadataKeys(from) as unknown[]) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, from), to);
  }
  return Object.assign(to, from);
}
