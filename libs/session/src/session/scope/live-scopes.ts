import { Roster } from './roster.js';
import type { LiveScope } from './live-scope.js';
import type { ScopeObserver } from './scope-observer.js';
import { ScopeObservers } from './scope-observers.js';

/** The scopes that have a session now. */
export class LiveScopes extends Roster<LiveScope> {
  #observer: ScopeObserver | undefined;

  /** Who is told of scopes, if anybody is. */
  get observer(): ScopeObserver | undefined {
    return this.#observer;
  }

  /** Tells one more of scopes, from now on. */
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
