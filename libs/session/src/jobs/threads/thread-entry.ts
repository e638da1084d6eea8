// The program of a thread that runs jobs.
import { parentPort } from 'node:worker_threads';

import { readThreadEnvironment } from './thread-environment.js';
import type { AllowanceNotice, ThreadAnswer } from './thread-answer.js';
import type { ThreadRequest } from './thread-request.js';
import { ThreadServer } from './thread-server.js';

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- the port of a thread, not a window
const notify = (notice: AllowanceNotice): void => parentPort?.postMessage(notice);
const environment = readThreadEnvironment();
const server = environment && new ThreadServer(environment, notify);

export function answer(request: ThreadRequest): Promise<ThreadAnswer> {
  if (server === undefined) {
    throw new Error('This file is the program of a thread that runs jobs.');
  }
  return server.answer(request);
}
