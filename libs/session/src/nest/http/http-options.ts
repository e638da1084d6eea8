import type { IncomingHttpHeaders } from 'node:http';

import type { ScopeInfo } from '../../session/scope/scope-info.js';
import type { BeginOptions } from '../../session/transaction/begin-options.js';

/** The members that requests of Node, Express and Fastify have in common. */
export interface HttpRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

/** Declared as a method, so that the parameter may have the type of your platform's request. */
interface RequestTransaction {
  of(request: HttpRequest): BeginOptions | undefined;
}

/** Returns the `info` of a request. */
export type HttpInfo = (request: HttpRequest) => ScopeInfo;

/** Options for the scopes of HTTP requests. */
export interface HttpOptions {
  /**
   * Returns the `info` of a request for the `fork` function, such as its tenant. It is called whenever the request
   * opens a session, or starts work with a scope of its own. It sees what guards have put on the request by then. The
   * parameter may have the type of your platform's request. In middleware over Fastify, it gets the request of Node,
   * because Fastify's own does not exist yet.
   *
   * @example
   * http: { info: ({ headers }) => ({ tenant: headers['x-tenant'] }) }
   */
  info?(request: HttpRequest): ScopeInfo;

  /**
   * Makes each request a unit of work: guards, pipes, interceptors and the handler share one transaction. It is flushed
   * and committed before the answer is sent. It is rolled back when an error is thrown, even if an exception filter
   * answers, when the status of the answer is 400 or more, and when the client has disconnected. A function returns the
   * options for one request, or undefined where the request needs no transaction. Middleware runs outside of the
   * transaction, and so does all work after the first byte of an answer: the rest of a stream, or of a handler that
   * answered by hand. `@Sse()` routes have no transaction.
   *
   * @default only the transactions that your code begins
   *
   * @example
   * http: { transaction: ({ method }) => (method === 'GET' ? { readOnly: true } : {}) }
   */
  readonly transaction?: true | BeginOptions | RequestTransaction['of'];
  /**
   * Returns the exception to throw when the commit of a request has failed, or undefined to throw the error itself.
   * Exception filters get it as if the handler had thrown it.
   *
   * @default the error itself, which NestJS answers with a 500
   *
   * @example
   * http: {
   *   transaction: true,
   *   commitError: (error) => (error instanceof UniqueConstraintViolationException ? new ConflictException() : undefined),
   * }
   */
  commitError?(error: unknown, request: HttpRequest): unknown;
}
