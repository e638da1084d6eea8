import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';

import { reportEndFailure } from '../../session/scope/report-end-failure.js';
import type { Roster } from '../../session/scope/roster.js';
import { LiveScope } from '../../session/scope/live-scope.js';
import type { ScopeEnding } from '../../session/scope/scope-ending.js';
import type { ScopeInfo } from '../../session/scope/scope-info.js';
import type { ClientScopes } from '../messages/client-scopes.js';
import type { HttpInfo, HttpRequest } from './http-options.js';
import { type AnyResponse, isOver, isSent, watchResponse } from './watch-response.js';

interface HttpScopeOptions {
  readonly request: IncomingMessage;
  readonly response: AnyResponse;
  readonly live: Roster<LiveScope>;
  readonly getInfo: HttpInfo;
  /** The scopes of requests that wait behind other requests on the same connection. */
  readonly waiting: ClientScopes<HttpScope>;
}

/** The scope of an HTTP request. It ends when the response is over and no handler runs. */
export class HttpScope extends LiveScope {
  readonly #request: IncomingMessage & { readonly originalUrl?: string };
  readonly #response: AnyResponse;
  readonly #getInfo: HttpInfo;
  readonly #waiting: ClientScopes<HttpScope>;
  #ofClient: Set<HttpScope> | undefined;
  #handled: HttpRequest;
  #handlers = 0;
  #isUsed = false;
  #responseEnding: 'responded' | 'disconnected' | undefined;

  constructor({ request, response, live, getInfo, waiting }: HttpScopeOptions) {
    super({ kind: 'request', live });
    this.#request = request;
    this.#handled = request;
    this.#response = response;
    this.#getInfo = getInfo;
    this.#waiting = waiting;
  }

  override get label(): string {
    const [path] = (this.#request.originalUrl ?? this.#request.url ?? '').split('?');
    return `${this.#request.method} ${path}`;
  }

  /** Computed on each access: a guard may set the tenant of the request, and may be the first to use a session. */
  override get info(): ScopeInfo {
    return this.#getInfo(this.#handled);
  }

  override get portableInfo(): ScopeInfo {
    return this.info;
  }

  /** @param request the request that the handler gets. Fastify wraps the one of Node in it */
  enterHandler(request: HttpRequest): void {
    this.#handled = request;
    this.#handlers += 1;
  }

  leaveHandler(): void {
    this.#handlers -= 1;
    if (this.#isUsed && this.#responseEnding === undefined && isOver(this.#response)) {
      this.#onResponseOver(isSent(this.#response));
      return;
    }
    this.#endWhenSettled();
  }

  /** Keeps the scope open until `work` has settled. */
  async keepOpen(work: () => Promise<void>): Promise<void> {
    this.#handlers += 1;
    try {
      await work();
    } finally {
      this.leaveHandler();
    }
  }

  /** Whether the client has disconnected before the answer began. */
  get isAbandoned(): boolean {
    return this.#responseEnding === 'disconnected' || isOver(this.#response);
  }

  /** Tells the scope that the connection of its response is lost. */
  abandon(): void {
    this.#onResponseOver(false);
  }

  override end(ending: ScopeEnding): Promise<void> {
    this.#ofClient?.delete(this);
    return super.end(ending);
  }

  /**
   * Listens for the end of the response only from the first use on: a request without a session does not pay for it.
   */
  protected override onFirstUse(): void {
    if (this.#responseEnding === 'disconnected') {
      this.#abort();
    }
    if (this.#isUsed) {
      return;
    }
    this.#isUsed = true;
    if (isOver(this.#response)) {
      this.#onResponseOver(isSent(this.#response));
      return;
    }
    watchResponse(this.#response, (isSent) => this.#onResponseOver(isSent));
    const { socket } = this.#request;
    if (this.#response.socket === null && socket instanceof EventEmitter) {
      // The request waits for its turn on the connection. Node emits nothing on it when the connection breaks before.
      this.#ofClient = this.#waiting.of(socket, (onGone) => socket.once('close', onGone)).add(this);
    }
  }

  #onResponseOver(isSent: boolean): void {
    if (this.#responseEnding !== undefined) {
      return;
    }
    this.#responseEnding = isSent ? 'responded' : 'disconnected';
    if (!isSent) {
      this.#abort();
    }
    this.#endWhenSettled();
  }

  #abort(): void {
    this.abort(new DOMException(`The client of "${this.label}" disconnected`, 'AbortError'));
    this.endForgotten();
  }

  #endWhenSettled(): void {
    if (this.#responseEnding === undefined || this.#handlers > 0) {
      return;
    }
    this.end(this.#responseEnding).catch((error: unknown) => reportEndFailure(this, error));
  }
}
