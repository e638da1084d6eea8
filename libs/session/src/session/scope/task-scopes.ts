import type { EntityManager } from '@mikro-orm/core';

import { hideTransaction } from '../transaction/hide-transaction.js';
import { runInScope } from './run-in-scope.js';
import type { LiveScope, ScopeOptions } from './live-scope.js';
import type { ScopeStorage } from './scope-storage.js';

/** Opens the scopes of tasks that are not tied to one connection: messages, operations, events, ticks. */
export class TaskScopes {
  readonly #storage: ScopeStorage;
  readonly #isolating: EntityManager[] = [];

  constructor(storage: ScopeStorage) {
    this.#storage = storage;
  }

  /** The scope of the running code. */
  get current(): LiveScope | undefined {
    return this.#storage.current;
  }

  /** Remembers the contextual EntityManager of a connection, which hides open transactions from new tasks. */
  add(contextual: EntityManager): void {
    this.#isolating.push(contextual);
  }

  /** Runs `work` in a new scope, which ends when it has settled. Without any connection there is nothing to open. */
  run<Result>(options: ScopeOptions, work: () => Promise<Result>): Promise<Result> {
    const [isolating] = this.#isolating;
    return isolating === undefined ? work() : this.runIn(this.#storage.createScope(options), work);
  }

  /** Runs `work` in the given scope, and ends the scope when `work` has settled. */
  runIn<Result>(scope: LiveScope, work: () => Promise<Result>): Promise<Result> {
    const [isolating] = this.#isolating;
    return isolating === undefined ? work() : runInScope(this.#storage, scope, isolating, work);
  }

  /** Runs `work` in a scope, and leaves the scope open. */
  enter<Result>(scope: LiveScope, work: () => Result): Result {
    const [isolating] = this.#isolating;
    return this.#storage.run(scope, isolating === undefined ? work : () => hideTransaction(isolating, work));
  }
}
