import type { ConstructorOptions } from 'pg-boss';

import type { QueuePolicy } from './queue-policy.js';

/** Options of pg-boss itself. */
export interface BossOptions extends Omit<ConstructorOptions, '__test__enableSpies'> {
  /**
   * Milliseconds that a statement of pg-boss may take: the option of node-postgres, which closes the connection then. 0
   * means no limit. A value that you set holds for the migrations too.
   *
   * @default 60_000, without a limit for the migrations at the start
   */
  readonly query_timeout?: number;
}

/** Options of JobQueueModule. */
export interface JobQueueModuleOptions {
  /**
   * Whether this process runs the jobs of its handlers. With `false`, it only creates their queues and sends jobs, as a
   * web server does beside worker processes.
   *
   * @default true
   */
  readonly work?: boolean;
  /** Milliseconds that running jobs get at the shutdown. Then they go back to their queue. @default 30_000 */
  readonly shutdownTimeout?: number;
  /** Queues to which this application only sends, by name: they have no handler here. */
  readonly queues?: Readonly<Record<string, QueuePolicy>>;
  /**
   * Options of pg-boss itself. Left out, it connects as MikroORM does, with a small pool of its own, and wakes its
   * workers by LISTEN and NOTIFY. Behind PgBouncer in transaction mode, give it `useListenNotify: false`.
   */
  readonly boss?: BossOptions;
}

/** Options that decide which providers exist. They cannot come from a factory. */
export interface JobQueueModuleExtras {
  /** The name of the connection of the jobs' sessions. @default the default connection */
  readonly contextName?: string | undefined;
  /** Whether every module of the application can inject the JobQueue. @default true */
  readonly isGlobal?: boolean;
}

/** Makes the options of JobQueueModule, for `useClass` and `useExisting` of forRootAsync(). */
export interface JobQueueOptionsFactory {
  /** Called once, at the start of the application. */
  createJobQueueOptions(): JobQueueModuleOptions | Promise<JobQueueModuleOptions>;
}
