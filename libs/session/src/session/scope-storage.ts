import { AsyncLocalStorage } from 'node:async_hooks';

import { Roster } from './roster.js';
import type { LiveScope } from './scope.js';

/** Knows the scope of the running code. One per application, so that two applications never meet. */
export class ScopeStorage {
  /** The scopes that have a session now. */
  readonly live = new Roster<LiveScope>();
  readonly #storage = new AsyncLocalStorage<LiveScope>();

  get current(): LiveScope | undefined {
    return this.#storage.getStore();
  }

  run<Result>(scope: LiveScope, work: () => Result): Result {
    return this.#storage.run(scope, work);
  }
}
