import { setTimeout as pause } from 'node:timers/promises';

import { describeThrown } from '../../session/describe-thrown.js';
import { describeType } from '../../session/describe-type.js';
import { silence } from '../run/silence.js';
import { isTransientError } from './is-transient-error.js';

const DEFAULT_LIMIT = 3;
const DEFAULT_DELAY_MS = 50;
const DEFAULT_BACKOFF = 2;
const DEFAULT_JITTER = 0.5;
const LONGEST_DELAY_MS = 30_000;

/** When a failed job gets another attempt. Each attempt has a session and a transaction of its own. */
export interface RetryOptions {
  /** The number of attempts after the first one. @default 3 */
  readonly limit?: number;
  /** Milliseconds before the second attempt. @default 50 */
  readonly delay?: number;
  /** The factor by which the pause grows after each attempt. It never grows past 30 seconds. @default 2 */
  readonly backoff?: number;
  /**
   * The random share of each pause, from 0 to 1, so that jobs in conflict do not repeat at the same time.
   *
   * @default 0.5
   */
  readonly jitter?: number;
  /**
   * Whether another attempt makes sense after an error. When this function throws, the job is rejected with an
   * AggregateError of both errors.
   *
   * @default isTransientError
   */
  readonly when?: (error: unknown) => boolean;
}

/** Decides on further attempts, and waits before each. */
export class Retry {
  readonly #limit: number;
  readonly #delay: number;
  readonly #backoff: number;
  readonly #jitter: number;
  readonly #when: (error: unknown) => boolean;

  constructor(options: RetryOptions = { limit: 0 }) {
    this.#limit = options.limit ?? DEFAULT_LIMIT;
    this.#delay = options.delay ?? DEFAULT_DELAY_MS;
    this.#backoff = options.backoff ?? DEFAULT_BACKOFF;
    this.#jitter = options.jitter ?? DEFAULT_JITTER;
    this.#when = options.when ?? isTransientError;
  }

  /**
   * Called after the failed attempt number `attempt`. Returns whether to try again, and waits for the pause before
   * that. An abort of the signal ends the wait, and the answer is false.
   *
   * @throws {AggregateError} of the error and the error that `when` threw
   */
  async again(error: unknown, attempt: number, signal: AbortSignal): Promise<boolean> {
    if (attempt > this.#limit || signal.aborted || !this.#isWorthIt(error)) {
      return false;
    }
    try {
      await pause(this.#delayAfter(attempt), undefined, { signal });
      return true;
    } catch {
      // A pause throws only when the signal aborts.
      return false;
    }
  }

  #isWorthIt(error: unknown): boolean {
    try {
      const answer: unknown = this.#when(error);
      if (typeof answer !== 'boolean') {
        silence(answer);
        throw new TypeError(`Expected \`retry.when\` to return a boolean, got ${describeType(answer)}.`);
      }
      return answer;
    } catch (failure) {
      throw new AggregateError(
        [error, failure],
        `The job failed (${describeThrown(error)}), and so did its \`retry.when\` (${describeThrown(failure)})`,
        { cause: failure },
      );
    }
  }

  #delayAfter(attempt: number): number {
    const delay = Math.min(this.#delay * this.#backoff ** (attempt - 1), LONGEST_DELAY_MS);
    return delay * (1 - this.#jitter * Math.random());
  }
}
