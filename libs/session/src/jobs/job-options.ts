import type { ScopeInfo } from '../session/scope/scope-info.js';
import type { BeginOptions } from '../session/transaction/begin-options.js';
import type { OutcomeOrder } from './run/outcome-window.js';
import type { ProgressOptions } from './run/progress-meter.js';
import type { RetryOptions } from './attempt/retry.js';

/** Options of the methods of JobService. */
export interface JobOptions extends ProgressOptions {
  /**
   * The number of jobs that run at once. It may be more than the connections of the pool: a job waits for a connection
   * at its first statement.
   *
   * @default 4, but at most the connections of the pool; or `threads` if that is more
   */
  readonly concurrency?: number;
  /**
   * `job`: each job has a transaction of its own. `none`: the worker itself commits. An object: `job`, with these
   * options of the transaction.
   *
   * @default 'job'
   */
  readonly transaction?: 'job' | 'none' | BeginOptions;
  /** Names the jobs in errors and logs: `job 7 of NAME`. @default the name of the worker */
  readonly label?: string;
  /**
   * Data for the `fork` function of the module, in the `info` of the scope of each job. It adds to the `info` of the
   * scope that starts the jobs: the jobs of a request have the tenant of the request, unless you set another one here.
   */
  readonly info?: ScopeInfo;
  /** When it aborts, no further job starts, and the running jobs are ended as `whenAborted` says. */
  readonly signal?: AbortSignal;
  /**
   * What happens to the running jobs when `signal` aborts. `cancel`: their statements are cancelled on the server,
   * their sessions are closed, and their transactions are rolled back. `finish`: only their `job.signal` aborts, and
   * their workers decide how to end.
   *
   * @default 'cancel'
   */
  readonly whenAborted?: 'cancel' | 'finish';
  /**
   * Milliseconds that an attempt at a job may take. Then it is cancelled, as by an aborted `signal`. In a chunk, each
   * input has this time. Infinity means no limit.
   *
   * @default no limit
   */
  readonly timeout?: number;
  /**
   * The number of inputs that share a session and a transaction. The worker is called for each input, or once for all
   * inputs if it is a class with `handleMany`. When an input fails, the chunk is rolled back and run again in smaller
   * parts, until each failing input is alone: there is one outcome per input, as without chunks. Work outside of the
   * transaction is then repeated.
   *
   * @default 1
   */
  readonly chunkSize?: number;
  /** When a failed job gets another attempt. Left out: never. `{}`: with the defaults. */
  readonly retry?: RetryOptions;
  /**
   * The number of worker threads that run the jobs, each with an application of its own: see the option `threads` of
   * SessionModule. Use it for workers that compute. Such a worker must be a class. 0 means the thread of the
   * application.
   *
   * @default 0
   */
  readonly threads?: number;
  /**
   * The number of inputs, for the progress and the inspector, where an iterator does not tell it. It changes nothing
   * else.
   *
   * @default the length of an array or a typed array, the size of a Set or a Map
   */
  readonly total?: number;
  /**
   * Starts no further job after one job has failed in all its attempts. Running jobs go on to their end. The outcome of
   * the others is `aborted`, with 0 attempts. They have no outcome in a stream, and none where the number of inputs is
   * not known in advance: such inputs are not read any further.
   *
   * @default false
   */
  readonly stopOnError?: boolean;
}

/** Options of JobService.stream(). */
export interface JobStreamOptions extends JobOptions {
  /** The order of the outcomes: that of the inputs, or that in which the jobs end. @default 'input' */
  readonly order?: OutcomeOrder;
  /**
   * The largest number of inputs that are read, but whose outcome has not been taken yet.
   *
   * @default two chunks for each job that runs at once
   */
  readonly window?: number;
}
