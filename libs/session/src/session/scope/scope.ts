import type { ScopeInfo } from './scope-info.js';

/**
 * What opened a scope:
 *
 * - `request`: an HTTP request
 * - `message`: a message or event of a microservice, a gateway or RabbitMQ
 * - `operation`: a GraphQL operation, or one event of a subscription
 * - `event`: a listener of @nestjs/event-emitter or @nestjs/cqrs
 * - `tick`: a cron job, interval or timeout of @nestjs/schedule
 * - `job`: a job of JobService, of pg-boss or of BullMQ
 * - `method`: a method with @InSession()
 * - `run`: SessionFactory.run(), or a RequestContext of MikroORM inside a scope
 * - `begin`: SessionFactory.begin()
 * - `create`: SessionFactory.create()
 * - `callback`: a callback of SessionContext, such as afterCommit()
 * - `key`: an object that the option `scopeFunc` returned
 */
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

/** `closing` while the sessions of the scope are closed: its transactions are rolled back then. */
export type ScopeState = 'open' | 'closing' | 'closed';

/** The lifetime that a session belongs to, such as a request or a job. */
export interface Scope {
  /** Unique across processes: a random UUID. */
  readonly id: string;
  /** What opened the scope. */
  readonly kind: ScopeKind;
  /** Names the scope to people: `GET /users`, `job 7 of SquareHandler`. */
  readonly label: string;
  /** When the scope was opened. */
  readonly openedAt: Date;
  /** Whether the scope still has sessions. */
  readonly state: ScopeState;
  /** Aborts when nobody waits for the result any more: the client disconnected, or the job was cancelled. */
  readonly signal: AbortSignal;
  /**
   * Data that the opener gave the scope, for the `fork` option and for logs. A job or block that is started inside
   * another scope has the info of that scope too.
   */
  readonly info: ScopeInfo;
}
