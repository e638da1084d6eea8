import type { ScopeInfo } from '../session/scope/scope-info.js';
import type { BeginOptions } from '../session/transaction/begin-options.js';
import type { OutcomeOrder } from './run/outcome-window.js';
import type { ProgressOptions } from './run/progress-meter.js';
import type { RetryOptions } from './attempt/retry.js';

/** Options of the methods of JobService. */
export interface JobOptions extends ProgressOptions {
  /**
   * How many jobs run at once. It may be more than the pool has connections: a job waits for one at its first statement.
   *
   * @default 4, but not more than the pool has connections; or `threads` if that is more
   */
  readonly concurrency?: number;
  /** `job`: each job in a transaction of its own. `none`: the worker commits. Or the options of that transaction. @default 'job' */
  readonly transaction?: 'job' | 'none' | BeginOptions;
  /** Names the jobs in errors and logs: `job 7 of NAME`. @default the name of the worker */
  readonly label?: string;
  /**
   * What the `fork` function of the module may want to know: it is found in the `info` of each job's scope, and adds to
   * the info of the scope that starts the jobs. Jobs that a request starts have its tenant, unless you say otherwise.
   */
  readonly info?: ScopeInfo;
  /** When it aborts, no further job starts, and those that run are ended as `whenAborted` says. */
  readonly signal?: AbortSignal;
  /**
   * What becomes of the running jobs when `signal` aborts. `cancel`: their statements are cancelled on the server, their
   * sessions closed, their transactions rolled back. `finish`: their `job.signal` aborts, and they end as they like.
   *
   * @default 'cancel'
   */
  readonly whenAborted?: 'cancel' | 'finish';
  /**
   * Milliseconds that an attempt at a job may take before it is cancelled, as by an aborted `signal`; in a chunk, each of
   * its inputs. Infinity is no limit.
   *
   * @default no limit
   */
  readonly timeout?: number;
  /**
   * How many inputs share a session and a transaction. The worker is called for each of them, or once for all if it is a
   * class with `handleMany`. When one fails, the chunk is rolled back and run again in parts, until those that fail are
   * alone: outcomes are per input, as without chunks. What a worker does outside of the transaction is then done again.
   *
   * @default 1
   */
  readonly chunkSize?: number;
  /** When a job that failed is tried again. Left out, never; `{}` takes the defaults. */
  readonly retry?: RetryOptions;
  /**
   * In how many worker threads the jobs run, each with an application of its own: see the option `threads` of
   * SessionModule. For workers that compute; only classes can be used. 0 is the thread of the application.
   *
   * @default 0
   */
  readonly threads?: number;
  /**
   * Starts no further job once one has failed, all its attempts made. Those that run go on to their end. The others are
   * `aborted` with 0 attempts; they are missing from a stream, and where nobody knows beforehand how many inputs there
   * are, which are then read no further.
   *
   * @default false
   */
  readonly stopOnError?: boolean;
}

/** Options of JobService.stream(). */
export interface JobStreamOptions extends JobOptions {
  /** Whether the outcomes come in the order of the inputs, or as the jobs end. @default 'input' */
  readonly order?: OutcomeOrder;
  /** How many inputs may have been read whose outcome has not been taken. @default two chunks for each job that runs at once */
  readonly window?: number;
}
