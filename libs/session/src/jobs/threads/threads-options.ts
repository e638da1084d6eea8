import type { ResourceLimits } from 'node:worker_threads';

import type { INestApplicationContext } from '@nestjs/common';

/** Where the worker threads of jobs get their application from. */
export interface ThreadsOptions {
  /**
   * The compiled file whose default export is a ThreadApplication. It is called once in each thread, and what it makes is
   * closed when this application is. Workers are found among its providers, by the name of their class.
   *
   * @example
   * threads: { application: new URL('./thread-application.js', import.meta.url) }
   */
  readonly application: URL | string;
  /** What that function is given: anything that structured clone can copy. */
  readonly data?: unknown;
  /** How much memory a thread may have. @default as much as the process */
  readonly resourceLimits?: ResourceLimits;
}

/**
 * Makes the application of one worker thread: the same connections, and the providers that its workers need.
 *
 * @example
 * export default () => NestFactory.createApplicationContext(AppModule, { abortOnError: false });
 */
export type ThreadApplication<Data = undefined> = (
  data: Data,
) => INestApplicationContext | Promise<INestApplicationContext>;
