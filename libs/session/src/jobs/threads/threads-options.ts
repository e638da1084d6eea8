import type { ResourceLimits } from 'node:worker_threads';

import type { INestApplicationContext } from '@nestjs/common';

/** The application of the worker threads of jobs. */
export interface ThreadsOptions {
  /**
   * The compiled file whose default export is a ThreadApplication. The function is called once in each thread. Its
   * application is closed together with this one. Workers are found among its providers, by the name of their class.
   *
   * @example
   * threads: { application: new URL('./thread-application.js', import.meta.url) }
   */
  readonly application: URL | string;
  /** The argument of that function: any value that structured clone can copy. */
  readonly data?: unknown;
  /** The memory limits of a thread. @default those of the process */
  readonly resourceLimits?: ResourceLimits;
}

/**
 * Creates the application of one worker thread. It needs the same connections, and the providers of its workers.
 *
 * @example
 * export default () => NestFactory.createApplicationContext(AppModule, { abortOnError: false });
 */
export type ThreadApplication<Data = undefined> = (
  data: Data,
) => INestApplicationContext | Promise<INestApplicationContext>;
