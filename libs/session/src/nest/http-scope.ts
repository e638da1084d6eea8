import type { IncomingMessage, ServerResponse } from 'node:http';

import { reportEndFailure } from '../session/report-end-failure.js';
import type { Roster } from '../session/roster.js';
import { LiveScope } from '../session/live-scope.js';
import type { ScopeInfo } from '../session/scope-info.js';
import type { HttpInfo, HttpRequest } from './http-options.js';

interface HttpScopeOptions {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly live: Roster<LiveScope>;
  readonly getInfo: HttpInfo;
}

/** The scope of an HTTP request. It ends when the response is closed and no handler is at work. */
export class HttpScope extends LiveScope {
  readonly #request: IncomingMessage & { readonly originalUrl?: string };
  readonly #response: ServerResponse;
  readonly #getInfo: HttpInfo;
  #handled: HttpRequest;
  #handlers = 0;
  #isResponseClosed = false;

  constructor({ request, response, live, getInfo }: HttpScopeOptions) {
    super({ kind: 'request', live });
    this.#request = request;
    this.#handled = request;
    this.#response = response;
    this.#getInfo = getInfo;
  }

  override get label(): string {
    const [path] = (this.#request.originalUrl ?? this.#request.url ?? '').split('?');
    return `${this.#request.method} ${path}`;
  }

  /** Asked anew each time: a guard may tell the tenant of the request, and be the first to use a session. */
  override get info(): ScopeInfo {
    return this.#getInfo(this.#handled);
  }

  /** @param request what the handler gets, which Fastify makes around the one of Node */
  enterHandler(request: HttpRequest): void {
    this.#handled = request;
    this.#handlers += 1;
  }

  leaveHandler(): void {
    this.#handlers -= 1;
    this.#endWhenSettled();
  }

  /** Listens for the end only from the first use on: a request that needs no session pays for none. */
  protected override onFirstUse(): void {
    if (this.#response.closed) {
      this.#onResponseClosed();
    } else {
      this.#response.once('close', () => this.#onResponseClosed());
    }
  }

  #onResponseClosed(): void {
    this.#isResponseClosed = true;
    if (!this.#response.writableFinished) {
      this.abort(new DOMException(`The client of "${this.label}" disconnected`, 'AbortError'));
    }
    this.#endWhenSettled();
  }

  #endWhenSettled(): void {
    if (!this.#isResponseClosed || this.#handlers > 0) {
      return;
    }
    const ending = this.#response.writableFinished ? 'responded' : 'disconnected';
    this.end(ending).catch((error: unknown) => reportEndFailure(this, error));
  }
}
