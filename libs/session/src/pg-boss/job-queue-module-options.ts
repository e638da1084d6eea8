import type { ConstructorOptions } from 'pg-boss';

import type { QueuePolicy } from './queue-policy.js';

/** What pg-boss is made with. */
export interface BossOptions extends Omit<ConstructorOptions, '__test__enableSpies'> {
  /**
   * Milliseconds that a statement of pg-boss may take, as node-postgres has it: its connection is closed then. 0 waits for
   * ever. One that is given holds for its migrations, too.
   *
   * @default 60_000, but for the migrations at the start, which may take any time
   */
  readonly query_timeout?: number;
}

/** Options of JobQueueModule. */
export interface JobQueueModuleOptions {
  /**
   * Whether this process runs the jobs of its handlers. Without, it makes their queues and sends to them: a web server
   * beside workers.
   *
   * @default true
   */
  readonly work?: boolean;
  /** Milliseconds that running jobs get on shutdown before they go back to their queue. @default 30_000 */
  readonly shutdownTimeout?: number;
  /** Queues without a handler in this application, by name: those that it only sends to. */
  readonly queues?: Readonly<Record<string, QueuePolicy>>;
  /**
   * Options of pg-boss itself. Left out, it connects as MikroORM does, with a small pool of its own, and wakes its
   * workers by LISTEN and NOTIFY. Behind PgBouncer in transaction mode, give it `useListenNotify: false`.
   */
  readonly boss?: BossOptions;
}

/** What decides on providers, and so cannot come from a factory. */
export interface JobQueueModuleExtras {
  /** Which connection the sessions of the jobs are of. @default the default connection */
  readonly contextName?: string | undefined;
  /** @default true */
  readonly isGlobal?: boolean;
}

/** Makes the options of JobQueueModule, for `forRootAsync({ useClass })`. */
export interface JobQueueOptionsFactory {
  createJobQueueOptions(): JobQueueModuleOptions | Promise<JobQueueModuleOptions>;
}
