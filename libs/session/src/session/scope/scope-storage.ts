import { AsyncLocalStorage } from 'node:async_hooks';

import { type EntityManager, RequestContext } from '@mikro-orm/core';

import { LiveScope, type ScopeOptions } from './live-scope.js';
import { Roster } from './roster.js';
import type { ScopeObserver } from './scope-observer.js';
import { ScopeObservers } from './scope-observers.js';

/** Keeps the scope of the running code. Each application has its own, so that two applications never share one. */
export class ScopeStorage {
  readonly live = new LiveScopes();
  readonly #contextForks = new Map<string, EntityManager>();
  readonly #requestContext = new RequestContext(this.#contextForks);
  readonly #storage = new AsyncLocalStorage<LiveScope>();

  /** The observer of the scopes, if there is one. */
  get observer(): ScopeObserver | undefined {
    return this.live.observer;
  }

  get current(): LiveScope | undefined {
    const scope = this.#storage.getStore();
    return scope?.standsFor ?? scope;
  }

  /** Adds a connection whose sessions `@EnsureRequestContext()` finds in every scope. */
  addConnection(contextFork: EntityManager): void {
    this.#contextForks.set(contextFork.name, contextFork);
  }

  /** Makes a scope. The caller ends it. */
  createScope(options: ScopeOptions): LiveScope {
    return new LiveScope({ ...options, live: this.live });
  }

  run<Result>(scope: LiveScope, work: () => Result): Result {
    return this.#storage.run(
      scope,
      RequestContext.currentRequestContext() === undefined ? () => this.#inRequestContext(work) : work,
    );
  }

  /** Reuses one RequestContext: `RequestContext.create()` would make a new one each time. */
  #inRequestContext<Result>(work: () => Result): Result {
    return RequestContext['storage'].run(this.#requestContext, work);
  }
}

/** The scopes that have a session now. */
class LiveScopes extends Roster<LiveScope> {
  #observer: ScopeObserver | undefined;

  /** The observer of the scopes, if there is one. */
  get observer(): ScopeObserver | undefined {
    return this.#observer;
  }

  /** Adds an observer. */
  observe(observer: ScopeObserver): void {
    this.#observer = this.#observer === undefined ? observer : new ScopeObservers(this.#observer, observer);
  }

  override delete(scope: LiveScope): boolean {
    const isDeleted = super.delete(scope);
    if (isDeleted) {
      this.#observer?.closed(scope);
    }
    return isDeleted;
  }
}
