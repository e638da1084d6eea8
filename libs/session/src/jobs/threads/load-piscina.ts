import type { ResourceLimits, Worker } from 'node:worker_threads';

import { SessionSetupError } from '../../session/session-error.js';

/**
 * The members of Piscina that are used here. Its own types are not imported: an application without threads does not
 * have them.
 */
export interface Piscina {
  readonly threads: Worker[];
  on(event: 'message' | 'workerDestroy' | 'error', listener: (value: unknown) => void): unknown;
  run(task: unknown): Promise<unknown>;
  destroy(): Promise<void>;
}

interface PiscinaOptions {
  readonly filename: string;
  readonly name: string;
  readonly minThreads: number;
  readonly maxThreads: number;
  readonly concurrentTasksPerWorker: number;
  readonly atomics: 'disabled';
  readonly recordTiming: boolean;
  readonly workerData: unknown;
  readonly resourceLimits?: ResourceLimits;
}

export type PiscinaClass = new (options: PiscinaOptions) => Piscina;

/**
 * Returns the class Piscina. Only applications that use threads need the package.
 *
 * @throws {SessionSetupError} where the package is not installed
 */
export async function loadPiscina(): Promise<PiscinaClass> {
  try {
    const { Piscina } = await import('piscina');
    return Piscina;
  } catch (cause) {
    throw new SessionSetupError(
      'The option `threads` of a job needs the package "piscina", which could not be loaded. Install it: npm install piscina',
      { cause },
    );
  }
}
