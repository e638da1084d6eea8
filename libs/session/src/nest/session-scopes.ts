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
  /** The kind of the scope. */
  readonly kind: Extract<ScopeKind, 'event' | 'job' | 'message' | 'operation' | 'tick'>;
  /** Names the scope in errors and logs: `mail 7 of queue "orders"`. */
  readonly label: string;
  /** Data about the scope: a tenant, a user. It is sent along with jobs that are started in the scope. */
  readonly info?: ScopeInfo;
  /** Data of the call: a payload, a message. It is part of `info`, and is never sent along with jobs. */
  readonly origin?: ScopeInfo;
  /** The scope in which the call was made. Its `info` is inherited: give SessionScopes.current. @default none */
  readonly startedIn?: Scope | undefined;
  /** When this signal aborts, the signal of the scope aborts too: nobody waits for the call any more. */
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
   * Runs `work` as a task of its own in a new scope. The scope ends when `work` has settled. It is isolated from the
   * session and the transaction of the caller, and has a session for each connection that it uses. Commits only what
   * `work` itself commits.
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
