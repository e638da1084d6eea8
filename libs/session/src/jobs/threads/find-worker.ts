import type { Type } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';

import { SessionSetupError } from '../../session/session-error.js';
import type { JobChunkWorker, JobWorker } from '../job-worker.js';

type WorkerClass = Type<JobWorker<unknown, unknown>> | Type<JobChunkWorker<unknown, unknown>>;

/**
 * Finds a worker class by its name among the providers of the application of a thread. A class cannot be sent to a
 * thread, but its name can.
 *
 * @throws {SessionSetupError} where no provider or more than one has that name
 */
export function findWorker(name: string, modules: ModulesContainer, application: string): WorkerClass {
  const found = new Set<WorkerClass>();
  for (const { providers } of modules.values()) {
    for (const token of providers.keys()) {
      if (typeof token === 'function' && token.name === name) {
        found.add(token as WorkerClass);
      }
    }
  }
  const [worker] = found;
  if (worker === undefined) {
    throw new SessionSetupError(
      `The worker "${name}" is not a provider of the application that "${application}" makes for threads. Add it to the ` +
        '`providers` of a module there, under its own name.',
    );
  }
  if (found.size > 1) {
    throw new SessionSetupError(
      `There are ${found.size} providers with the name "${name}" in the application that "${application}" makes for ` +
        'threads, where workers are found by their name. Give each a name of its own.',
    );
  }
  return worker;
}
