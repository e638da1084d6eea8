import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import type { SessionModuleOptions, ThreadsOptions } from 'nestjs-mikro-session';

import { compileApp } from '../../support/compile-app.js';
import { startTestApp, type TestApp, type TestAppOptions } from '../../support/test-app.js';
import { type ThreadData, workers } from '../app/thread-application.js';

/** Compiles the application of the threads: Node runs no decorators of TypeScript. Gives the folder. */
export function compileThreadApp(): Promise<string> {
  return compileApp({ 'test/threads/app': 'threads/app', 'test/support': 'support' });
}

export interface ThreadAppOptions extends Omit<TestAppOptions, 'session'> {
  /** What `compileThreadApp` gave. */
  readonly folder: string;
  readonly data?: Omit<ThreadData, 'databaseUrl'>;
  readonly threads?: Partial<ThreadsOptions>;
  readonly session?: SessionModuleOptions;
}

/** Starts an application whose jobs can run in threads. */
export function startThreadApp({ folder, data, threads, session, ...options }: ThreadAppOptions): Promise<TestApp> {
  const application = pathToFileURL(join(folder, 'threads', 'app', 'thread-application.js'));
  return startTestApp({
    providers: workers,
    ...options,
    session: { ...session, threads: { application, data: { ...data, databaseUrl: options.databaseUrl }, ...threads } },
  });
}
