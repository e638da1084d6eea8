import type { IncomingHttpHeaders } from 'node:http';

import type { ScopeInfo } from '../session/scope-info.js';

/** What the requests of Node, Express and Fastify have in common. */
export interface HttpRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
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
}
