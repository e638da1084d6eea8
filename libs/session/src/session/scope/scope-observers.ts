import type { MikroORM } from '@mikro-orm/core';

import type { LiveScope } from './live-scope.js';
import type { Misuse } from './misuse.js';
import type { ScopeObserver } from './scope-observer.js';

/** Combines two observers into one. */
export class ScopeObservers implements ScopeObserver {
  constructor(
    private readonly first: ScopeObserver,
    private readonly second: ScopeObserver,
  ) {}

  entered(scope: LiveScope): void {
    this.first.entered?.(scope);
    this.second.entered?.(scope);
  }

  run<Result>(scope: LiveScope, work: () => Promise<Result>): Promise<Result> {
    const { first, second } = this;
    const inner = second.run === undefined ? work : () => second.run?.(scope, work) ?? work();
    return first.run === undefined ? inner() : first.run(scope, inner);
  }

  opened(scope: LiveScope, orm: MikroORM): void {
    this.first.opened(scope, orm);
    this.second.opened(scope, orm);
  }

  closed(scope: LiveScope): void {
    this.first.closed(scope);
    this.second.closed(scope);
  }

  misused(misuse: Misuse): void {
    this.first.misused?.(misuse);
    this.second.misused?.(misuse);
  }
}
