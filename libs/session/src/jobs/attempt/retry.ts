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

/** When a job that failed is tried again, each time in a session and a transaction of its own. */
export interface RetryOptions {
  /** How many attempts a job gets after its first. @default 3 */
  readonly limit?: number;
  /** Milliseconds before the second attempt. @default 50 */
  readonly delay?: number;
  /** What the pause is multiplied by after each attempt. It never grows past 30 seconds. @default 2 */
  readonly backoff?: number;
  /** The share of each pause that is left to chance, from 0 to 1, so that jobs in conflict part. @default 0.5 */
  readonly jitter?: number;
  /**
   * Whether an error is worth another attempt. A job is rejected when this throws, with an AggregateError of what it and
   * the job threw.
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
   * Waits for its time when there is to be an attempt after `attempt`, which failed. The signal ends the wait, and all attempts.
   *
   * @throws {AggregateError} of the error and what `when` has thrown at it
   */
  async again(error: unknown, attempt: number, signal: AbortSignal): Promise<boolean> {
    if (attempt > this.#limit || signal.aborted || !this.#isWorthIt(error)) {
      return false;
    }
    try {
      await pause(this.#delayAfter(attempt), undefined, { signal });
      return true;
    } catch {
      // The only thing that a pause throws.
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
