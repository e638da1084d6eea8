import { inspect } from 'node:util';

import { SessionError } from '../session/session-error.js';

/** Tells which job failed. Its `cause` is what the worker threw. */
export class JobError extends SessionError {
  readonly code = 'JOB_FAILED';

  constructor(
    readonly index: number,
    readonly input: unknown,
    label: string,
    cause: unknown,
  ) {
    const shown = inspect(input, { depth: 1, breakLength: Infinity, maxStringLength: 80, maxArrayLength: 5 });
    super(`${label} failed on input ${shown}: ${cause instanceof Error ? cause.message : inspect(cause)}`, { cause });
  }
}

/** The reason of a job that took longer than its `timeout`. Its session was closed, its transaction rolled back. */
export class JobTimeoutError extends SessionError {
  readonly code = 'JOB_TIMED_OUT';

  constructor(
    label: string,
    /** The milliseconds it was allowed. */
    readonly timeout: number,
  ) {
    super(
      `The ${label} was ended because it took longer than its \`timeout\` of ${timeout} ms. ` +
        'Its transaction was rolled back. Give it more time, or less to do.',
    );
  }
}
