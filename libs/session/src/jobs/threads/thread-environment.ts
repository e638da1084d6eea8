import { workerData } from 'node:worker_threads';

const KEY = 'nestjs-mikro-session';

/** What a thread knows of itself. */
export interface ThreadEnvironment {
  /** The URL of the file that makes its application. */
  readonly application: string;
  readonly data: unknown;
  /** Which of the connections the jobs belong to: the token of its SessionSource, left out for the default one. */
  readonly sourceToken: string | undefined;
  /** The connections of the application, and how many threads share as many. */
  readonly connections: number;
  readonly threads: number;
}

export function toWorkerData(environment: ThreadEnvironment): unknown {
  return { [KEY]: environment };
}

/** Returns what this thread was started with, when it is one of those that run jobs. */
export function readThreadEnvironment(): ThreadEnvironment | undefined {
  return (workerData as Readonly<Record<string, ThreadEnvironment>> | null)?.[KEY];
}

/** Returns the share that one of several threads has in a number of connections. */
export function shareOf(connections: number, threads: number): number {
  return Math.max(1, Math.floor(connections / threads));
}
