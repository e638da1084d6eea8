/** @module nestjs-mikro-session */
export { JobCloneError, JobError, JobThreadError, JobTimeoutError } from './jobs/job-error.js';
export type { JobOptions, JobStreamOptions } from './jobs/job-options.js';
export type { JobEnding, JobOutcome } from './jobs/job-outcome.js';
export type { AnyWorker, JobChunkWorker, JobContext, JobFunction, JobWorker, Worker } from './jobs/job-worker.js';
export { JobService } from './jobs/job.service.js';
export type { JobProgress } from './jobs/run/progress-meter.js';
export type { RetryOptions } from './jobs/attempt/retry.js';
export type { ThreadApplication, ThreadsOptions } from './jobs/threads/threads-options.js';
export { isTransientError } from './jobs/attempt/is-transient-error.js';
export type { HttpOptions, HttpRequest } from './nest/http/http-options.js';
export { InSession, type InSessionDecorator, type InSessionOptions } from './nest/in-session.js';
export { InjectSession } from './nest/inject-session.js';
export type {
  SessionModuleExtras,
  SessionModuleOptions,
  SessionOptionsFactory,
} from './nest/session-module-options.js';
export {
  getJobServiceToken,
  getSessionContextToken,
  getSessionFactoryToken,
  getSessionToken,
} from './nest/get-session-token.js';
export {
  type PoolHealth,
  type SessionHealth,
  SessionHealthIndicator,
  type SessionHealthOptions,
} from './nest/session-health-indicator.js';
export { SessionPlace } from './nest/session-place.js';
export type { PlaceScopeOptions, SessionScopes } from './nest/session-scopes.js';
export type { MethodTransactionOptions } from './nest/method-transaction.js';
export type { Propagation } from './nest/run-session-method.js';
export { SessionModule } from './session.module.js';
export type { Scope, ScopeKind, ScopeState } from './session/scope/scope.js';
export type { ScopeInfo } from './session/scope/scope-info.js';
export { SessionContext } from './session/session-context.js';
export {
  CommitUnknownError,
  ConcurrentSessionUseError,
  ConnectionLostError,
  EntityOwnershipError,
  NoActiveSessionError,
  SessionClosedError,
  SessionError,
  SessionOwnershipError,
  SessionPoolDeadlockError,
  SessionSetupError,
  SessionStateError,
  TransactionAbortedError,
  UnflushedChangesError,
} from './session/session-error.js';
export type { Ownership } from './session/ownership/ownership-policy.js';
export { type OwnedSession, SessionFactory } from './session/session-factory.js';
export type { SessionForkOptions, SessionOptions } from './session/session-options.js';
export { type LiveScopeInfo, SessionRegistry } from './session/session-registry.js';
export type { SessionEntityManager, SessionTypes } from './session/session-types.js';
export type { BeginOptions, TransactionDefaults } from './session/transaction/begin-options.js';
export type { Unflushed } from './session/ownership/unflushed.js';
