import type { EntityManager } from '@mikro-orm/postgresql';

import type { Mark } from './mark.entity.js';

/** A request or a job, or the main program: what can be cancelled, and who started it. */
export interface Line {
  readonly startedIn: Place | undefined;
  cancel(): Promise<void>;
}

/** Where a step runs: a scope, and in it perhaps a `transactional()` call. */
export interface Place {
  readonly part: number;
  readonly line: Line;
  readonly outer: Place | undefined;
  /** The session of the scope. */
  readonly session: EntityManager;
  /** What the scope, or the `transactional()` call, was given to work with. */
  readonly given: EntityManager;
  readonly injected: EntityManager | undefined;
  /** The entities made here. */
  readonly marks: Mark[];
  /** What it shares with the `transactional()` calls in it. */
  readonly life: { isOver: boolean };
}
