import { AsyncLocalStorage } from 'node:async_hooks';

import { LiveScopes } from './live-scopes.js';
import { LiveScope, type ScopeOptions } from './live-scope.js';
import type { ScopeObserver } from './scope-observer.js';

/** Knows the scope of the running code. One per application, so that two applications never meet. */
export class ScopeStorage {
  readonly live = new LiveScopes();
  readonly #storage = new AsyncLocalStorage<LiveScope>();

  /** Who is told of scopes, if anybody is. */
  get observer(): ScopeObserver | undefined {
    return this.live.observer;
  }

  get current(): LiveScope | undefined {
    return this.#storage.getStore();
  }

  /** Makes a scope that its maker ends. */
  createScope(options: ScopeOptions): LiveScope {
    return new LiveScope({ ...options, live: this.live });
  }

  run<Result>(scope: LiveScope, work: () => Result): Result {
    return this.#storage.run(scope, work);
  }
}
