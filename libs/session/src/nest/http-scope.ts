import type { IncomingMessage, ServerResponse } from 'node:http';

import { reportEndFailure } from '../session/report-end-failure.js';
import type { Roster } from '../session/roster.js';
import { LiveScope } from '../session/scope.js';

/** The scope of an HTTP request. It ends when the response is closed and no handler is at work. */
export class HttpScope extends LiveScope {
  readonly #request: IncomingMessage & { readonly originalUrl?: string };
  readonly #response: ServerResponse;
  #handlers = 0;
  #isResponseClosed = false;

  constructor(request: IncomingMessage, response: ServerResponse, live: Roster<LiveScope>) {
    super({ kind: 'request', live });
    this.#request = request;
    this.#response = response;
  }

  override get label(): string {
    const [path] = (this.#request.originalUrl ?? this.#request.url ?? '').split('?');
    return `${this.#request.method} ${path}`;
  }

  enterHandler(): void {
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
