import { describeThrown } from '../session/describe-thrown.js';
import { describeType } from '../session/describe-type.js';
import { SessionError } from '../session/session-error.js';

/** The error of one failed job in map(). Its `cause` is the error that the worker threw. */
export class JobError extends SessionError {
  declare readonly code: 'JOB_FAILED';
  /** The input of the job. Neither in the message nor enumerable, so that it does not get into logs. */
  declare readonly input: unknown;

  constructor(
    /** The position of the input in the inputs, from 0. */
    readonly index: number,
    input: unknown,
    label: string,
    cause: unknown,
  ) {
    super('JOB_FAILED', `${label} failed on ${describeType(input)}: ${describeThrown(cause)}`, { cause });
    Object.defineProperty(this, 'input', { value: input, enumerable: false });
  }
}

/** The reason of a job that took longer than its `timeout`. Its session was closed, its transaction rolled back. */
export class JobTimeoutError extends SessionError {
  declare readonly code: 'JOB_TIMED_OUT';

  constructor(
    label: string,
    /** The milliseconds that the job had. */
    readonly timeout: number,
  ) {
    super(
      'JOB_TIMED_OUT',
      `J${label.slice(1)} was cancelled because it took longer than its \`timeout\` of ${timeout} ms. ` +
        'Its transaction was rolled back. Give it more time, or less to do.',
    );
  }
}

/**
 * The reason of a job whose worker thread exited while the job was running: code in it called `process.exit()`, an
 * exception was not caught, the memory was not enough, or another job blocked the thread past its time-out. All jobs of
 * a thread end with it.
 */
export class JobThreadError extends SessionError {
  declare readonly code: 'JOB_THREAD_ENDED';

  constructor(
    label: string,
    /** The job whose time was up while the thread was blocked, if the thread was ended because of that. */
    readonly blockedBy: string | undefined,
    cause: unknown,
  ) {
    super(
      'JOB_THREAD_ENDED',
      blockedBy === undefined
        ? `The worker thread of ${label} exited while the job was running: ${describeThrown(cause)}. ` +
            'What was not committed is rolled back. Look for process.exit(), an exception that is not caught, or too ' +
            'little memory, in any job of that thread.'
        : `The worker thread of ${label} was ended, because it was blocked when the time of ${blockedBy} was up. ` +
            'What was not committed is rolled back. Try again with `retry`, or run workers that block with a `concurrency` of ' +
            'no more than its `threads`.',
      { cause },
    );
  }
}

/** The reason of a job whose input or result cannot be copied from one thread to another. */
export class JobCloneError extends SessionError {
  declare readonly code: 'JOB_NOT_CLONEABLE';

  constructor(what: string, obstacle: string) {
    super(
      'JOB_NOT_CLONEABLE',
      `${what} cannot be sent from one thread to another: ${obstacle}. ` +
        'Use plain data, dates, maps, sets, errors or typed arrays: what structured clone can copy.',
    );
  }
}
