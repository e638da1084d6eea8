import type { MikroORM } from '@mikro-orm/core';

import type { LiveScope } from './live-scope.js';
import type { Misuse } from './misuse.js';

/** Is told of the scopes of an application as they come and go. */
export interface ScopeObserver {
  /** Called when the scope of a request begins. NestJS runs its handler, not this library. */
  entered(scope: LiveScope): void;
  /** Runs the work of a scope, which ends with it. */
  run<Result>(scope: LiveScope, work: () => Promise<Result>): Promise<Result>;
  /** Called when a scope gets its session of a connection. */
  opened(scope: LiveScope, orm: MikroORM): void;
  /** Called when a scope has no session any more. */
  closed(scope: LiveScope): void;
  /** Called for each misuse that is refused or warned of. */
  misused?(misuse: Misuse): void;
}
