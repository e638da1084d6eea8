import type { SessionDefaults } from '../session/session-options.js';
import type { HttpOptions } from './http/http-options.js';
import type { JobOptions } from '../jobs/job-options.js';
import type { ThreadsOptions } from '../jobs/threads/threads-options.js';

/** Options of SessionModule for one connection. */
export interface SessionModuleOptions extends SessionDefaults {
  /** Options for HTTP requests. `false` opens no scope for them. @default a scope for each request */
  readonly http?: HttpOptions | false;
  /** Defaults for the options of JobService. */
  readonly jobs?: JobOptions;
  /** The application of the worker threads, for jobs with the option `threads`. */
  readonly threads?: ThreadsOptions;
}

/** Options that decide which providers exist. They cannot come from a factory. */
export interface SessionModuleExtras {
  /** The name of the connection: the `contextName` of MikroOrmModule. @default the default connection */
  readonly contextName?: string | undefined;
  /** Provides the sessions to every module of the application. @default true */
  readonly isGlobal?: boolean;
  /**
   * `request` injects the session itself through a request-scoped provider. `contextual` injects a singleton that finds
   * the session of the current scope on each call: nothing becomes request-scoped, and NestJS handles two to three
   * times as many requests per second.
   *
   * @default 'request'
   */
  readonly injection?: 'request' | 'contextual';
}

/** Makes the options of SessionModule, for `useClass` and `useExisting`. */
export interface SessionOptionsFactory {
  /** Called once, at the start of the application. */
  createSessionOptions(): SessionModuleOptions | Promise<SessionModuleOptions>;
}
