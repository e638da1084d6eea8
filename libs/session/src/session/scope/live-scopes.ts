import { Roster } from './roster.js';
import type { LiveScope } from './live-scope.js';
import type { ScopeObserver } from './scope-observer.js';

/** The scopes that have a session now. */
export class LiveScopes extends Roster<LiveScope> {
  observer: ScopeObserver | undefined;

  override delete(scope: LiveScope): boolean {
    const isDeleted = super.delete(scope);
    if (isDeleted) {
      this.observer?.closed(scope);
    }
    return isDeleted;
  }
}
