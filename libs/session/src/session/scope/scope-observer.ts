import type { MikroORM } from '@mikro-orm/core';

import type { LiveScope } from './live-scope.js';
import type { Misuse } from './misuse.js';

/** Observes the scopes of an application. */
export interface ScopeObserver {
  /** Called when the scope of a request begins. NestJS runs its handler, not this library. */
  entered?(scope: LiveScope): void;
  /** Runs the work of a scope. The scope ends with the work. */
  run?<Result>(scope: LiveScope, work: () => Promise<Result>): Promise<Result>;
  /** Called when a scope gets its session of a connection. */
  opened(scope: LiveScope, orm: MikroORM): void;
  /** Called when a scope has no session any more. */
  closed(scope: LiveScope): void;
  /** Called for each misuse that is refused or warned of. */
  misused?(misuse: Misuse): void;
}
