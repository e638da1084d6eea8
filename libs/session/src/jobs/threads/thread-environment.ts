import { workerData } from 'node:worker_threads';

const KEY = 'nestjs-mikro-session';

/** The settings of a worker thread. */
export interface ThreadEnvironment {
  /** The URL of the file that creates the application of the thread. */
  readonly application: string;
  readonly data: unknown;
  /** The token of the SessionSource of the connection of the jobs. Undefined for the default connection. */
  readonly sourceToken: string | undefined;
  /** The number of connections of the main application, and the number of threads that share them. */
  readonly connections: number;
  readonly threads: number;
}

export function toWorkerData(environment: ThreadEnvironment): unknown {
  return { [KEY]: environment };
}

/** Returns the settings of this thread. Undefined where it does not run jobs. */
export function readThreadEnvironment(): ThreadEnvironment | undefined {
  return (workerData as Readonly<Record<string, ThreadEnvironment>> | null)?.[KEY];
}

/** Returns the number of connections that each thread gets. */
export function shareOf(connections: number, threads: number): number {
  return Math.max(1, Math.floor(connections / threads));
}
