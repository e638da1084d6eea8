import type { IncomingHttpHeaders } from 'node:http';

import type { ScopeInfo } from '../../session/scope/scope-info.js';
import type { BeginOptions } from '../../session/transaction/begin-options.js';

/** What the requests of Node, Express and Fastify have in common. */
export interface HttpRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

/** As a method, so that its parameter may have the type of your platform's request. */
interface RequestTransaction {
  of(request: HttpRequest): BeginOptions | undefined;
}

export type HttpInfo = (request: HttpRequest) => ScopeInfo;

/** Options for the scopes of HTTP requests. */
export interface HttpOptions {
  /**
   * Tells what the `fork` function wants to know of a request, such as its tenant. It is asked whenever a session is
   * opened for the request, or something is started in it, and finds what guards have put on the request by then. The
   * parameter may have the type of your platform's request; middleware over Fastify comes too early for that one, and is
   * served with Node's.
   *
   * @example
   * http: { info: ({ headers }) => ({ tenant: headers['x-tenant'] }) }
   */
  info?(request: HttpRequest): ScopeInfo;

  /**
   * Makes each request a unit of work: guards, pipes, interceptors and the handler share one transaction, which is flushed
   * and committed before the answer is sent. It is rolled back when something throws, whatever an exception filter makes of
   * it, when the answer has a status of 400 or more, and when the client is gone. A function gives the options of one
   * request, or nothing where it needs no transaction. Middleware runs outside of it, and so does what comes after the first
   * byte of an answer: the rest of a stream, of a handler that answered by hand. `@Sse()` routes have none.
   *
   * @default no transaction but those of your code
   *
   * @example
   * http: { transaction: ({ method }) => (method === 'GET' ? { readOnly: true } : {}) }
   */
  readonly transaction?: true | BeginOptions | RequestTransaction['of'];
  /**
   * Returns the exception to throw where the transaction of a request could not be committed, and nothing for the error
   * itself. Exception filters get it as one of the handler. @default the error, which NestJS answers with a 500
   *
   * @example
   * http: {
   *   transaction: true,
   *   commitError: (error) => (error instanceof UniqueConstraintViolationException ? new ConflictException() : undefined),
   * }
   */
  commitError?(error: unknown, request: HttpRequest): unknown;
}
