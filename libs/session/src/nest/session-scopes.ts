import {
  aName,
  anAbortSignal,
  anObject,
  anything,
  assertOptions,
  oneOf,
  type Rule,
} from '../session/assert-options.js';
import type { LiveScope } from '../session/scope/live-scope.js';
import type { Scope, ScopeKind } from '../session/scope/scope.js';
import type { ScopeInfo } from '../session/scope/scope-info.js';
import type { TaskScopes } from '../session/scope/task-scopes.js';

/** Options of a scope that a SessionPlace opens. */
export interface PlaceScopeOptions {
  /** What the code is called for. */
  readonly kind: Extract<ScopeKind, 'event' | 'job' | 'message' | 'operation' | 'tick'>;
  /** Names the scope in errors and logs: `mail 7 of queue "orders"`. */
  readonly label: string;
  /** What people say of the scope: a tenant, a user. It goes along with jobs that are started in it. */
  readonly info?: ScopeInfo;
  /** What came with the call: a payload, a message. It is part of `info`, and goes along with nothing. */
  readonly origin?: ScopeInfo;
  /** The scope that the call was made in, whose `info` goes along: SessionScopes.current. @default none */
  readonly startedIn?: Scope | undefined;
  /** Aborts the signal of the scope, when nobody waits for the call any more. */
  readonly signal?: AbortSignal | undefined;
}

const rules: Record<keyof PlaceScopeOptions, Rule> = {
  kind: oneOf('event', 'job', 'message', 'operation', 'tick'),
  label: aName,
  info: anObject,
  origin: anObject,
  startedIn: anything,
  signal: anAbortSignal,
};

/** Opens scopes for a SessionPlace. */
export class SessionScopes {
  readonly #tasks: TaskScopes;

  constructor(tasks: TaskScopes) {
    this.#tasks = tasks;
  }

  /** The scope of the running code. */
  get current(): Scope | undefined {
    return this.#tasks.current;
  }

  /**
   * Runs `work` as a task of its own in a new scope, which ends when `work` has settled: isolated from the session and the
   * transaction of the caller, with a session of each connection that it uses. Commits nothing that `work` did not commit.
   */
  run<Result>(options: PlaceScopeOptions, work: () => Promise<Result>): Promise<Result> {
    assertOptions('SessionScopes.run()', options, rules);
    const { signal, startedIn, ...rest } = options;
    return this.#tasks.run(
      { ...rest, signal: signal && (() => signal), startedIn: startedIn as LiveScope | undefined },
      work,
    );
  }
}
