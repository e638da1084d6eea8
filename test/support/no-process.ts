import { subscribe, unsubscribe } from 'node:diagnostics_channel';

import { findLongSpec } from './slow-specs.js';

/** Where Node tells of each new process and thread, whoever starts it. */
const CHANNELS = ['child_process', 'worker_threads'] as const;

const { testPath = '' } = expect.getState();

// The quick tests stay quick: a spec that starts a process or a thread is listed as a long one, or fails.
if (findLongSpec(testPath) === -1) {
  const started: string[] = [];
  const note = (_message: unknown, name: string | symbol): void => {
    started.push(`${String(name)} in "${expect.getState().currentTestName ?? 'its set-up'}"`);
  };

  beforeAll(() => CHANNELS.forEach((name) => subscribe(name, note)));

  afterAll(() => {
    CHANNELS.forEach((name) => unsubscribe(name, note));
    if (started.length > 0) {
      throw new Error(
        `${testPath} starts a process or a thread (${started.join(', ')}), and is no long one of test/support/slow-specs.ts. ` +
          'List it there, and it runs as a test file of its own, which `npm run test:quick` leaves out.',
      );
    }
  });
}
