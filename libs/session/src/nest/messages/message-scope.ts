import { LiveScope, type LiveScopeOptions } from '../../session/scope/live-scope.js';
import type { ScopeEnding } from '../../session/scope/scope-ending.js';

export interface MessageScopeOptions extends Pick<LiveScopeOptions, 'origin' | 'live'> {
  readonly label: string;
  /** The scopes of all messages of the same client. All are told when it disconnects. */
  readonly ofClient?: Set<MessageScope> | undefined;
}

/** The scope of one message or event. It knows whether its client is still connected, and which handlers run. */
export class MessageScope extends LiveScope {
  readonly #ofClient: Set<MessageScope> | undefined;
  readonly #handlers = new Set<Promise<unknown>>();
  #isAbandoned = false;
  #hasFailed = false;

  constructor({ ofClient, ...options }: MessageScopeOptions) {
    super({ kind: 'message', ...options });
    this.#ofClient = ofClient;
    ofClient?.add(this);
  }

  get isAbandoned(): boolean {
    return this.#isAbandoned;
  }

  /** Tells the scope that the client is gone: nobody will read the answer. */
  abandon(): void {
    this.#isAbandoned = true;
    this.#abortIfAbandoned();
  }

  /** Tells the scope that an exception filter has handled an error of the handler. */
  fail(): void {
    this.#hasFailed = true;
  }

  /** Keeps the scope open until `handler` has settled, even when nobody waits for its answer any more. */
  follow<Result>(handler: Promise<Result>): Promise<Result> {
    const forget = (): void => void this.#handlers.delete(handler);
    this.#handlers.add(handler);
    handler.then(forget, forget);
    return handler;
  }

  get isIdle(): boolean {
    return this.#handlers.size === 0;
  }

  async untilIdle(): Promise<void> {
    await Promise.allSettled(this.#handlers);
  }

  override end(ending: ScopeEnding): Promise<void> {
    this.#ofClient?.delete(this);
    return super.end(ending === 'returned' ? this.#describeReturn() : ending);
  }

  protected override onFirstUse(): void {
    this.#abortIfAbandoned();
  }

  #abortIfAbandoned(): void {
    if (this.#isAbandoned) {
      this.abort(new DOMException(`The client of "${this.label}" disconnected`, 'AbortError'));
      this.endForgotten();
    }
  }

  #describeReturn(): ScopeEnding {
    if (this.#hasFailed) {
      return 'threw';
    }
    return this.#isAbandoned ? 'disconnected' : 'returned';
  }
}
