import { subscribe, unsubscribe } from 'node:diagnostics_channel';

import { findSlowSpec } from './slow-specs.js';

/** Where Node tells of each new process and thread, whoever starts it. */
const CHANNELS = ['child_process', 'worker_threads'] as const;

const { testPath = '' } = expect.getState();

// The quick tests stay quick: a spec that starts a process or a thread is listed as slow, or fails.
if (findSlowSpec(testPath) === -1) {
  const started: string[] = [];
  const note = (_message: unknown, name: string | symbol): void => {
    started.push(String(name));
  };

  beforeAll(() => CHANNELS.forEach((name) => subscribe(name, note)));

  afterAll(() => {
    CHANNELS.forEach((name) => unsubscribe(name, note));
    if (started.length > 0) {
      throw new Error(
        `${testPath} starts a process or a thread (${started.join(', ')}), and is not in test/support/slow-specs.ts. ` +
          'List it there, and `npm run test:quick` leaves it out.',
      );
    }
  });
}
