import type { ScopeInfo } from './scope-info.js';

export type ScopeKind =
  | 'request'
  | 'message'
  | 'operation'
  | 'event'
  | 'tick'
  | 'job'
  | 'method'
  | 'run'
  | 'begin'
  | 'create'
  | 'callback'
  | 'key';

export type ScopeState = 'open' | 'closing' | 'closed';

/** Describes the lifetime that a session belongs to. */
export interface Scope {
  /** Unique across processes: a random UUID. */
  readonly id: string;
  readonly kind: ScopeKind;
  /** Names the scope to people: `GET /users`, `job 7 of SquareHandler`. */
  readonly label: string;
  readonly openedAt: Date;
  readonly state: ScopeState;
  /** Aborts when the scope will not be able to deliver its result: the client went away, or the job was cancelled. */
  readonly signal: AbortSignal;
  /**
   * What the opener of the scope had to say about it, for the `fork` option and for logs. A scope that is started within
   * another has the info of that one too, job or block.
   */
  readonly info: ScopeInfo;
}
