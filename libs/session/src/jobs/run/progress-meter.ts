import { types } from 'node:util';

import type { JobOutcome } from '../job-outcome.js';

const DEFAULT_INTERVAL_MS = 100;

/**
 * The progress of a run. `done` counts the jobs that succeeded, `failed` those that failed. Jobs that never began are
 * not counted.
 */
export interface JobProgress {
  /** The number of jobs that succeeded. */
  readonly done: number;
  /** The number of jobs that failed. */
  readonly failed: number;
  /** The number of inputs. Missing where it is not known in advance. */
  readonly total?: number;
  /** The jobs that have ended per second, since the start of the run. */
  readonly rate: number;
  /**
   * Estimated milliseconds until the end, at that rate. Missing without `total`, and before the end of the first job.
   */
  readonly timeLeft?: number;
}

export interface ProgressOptions {
  /** Called with the progress when a job has ended, at most once per `progressInterval`, and at the end. */
  readonly onProgress?: (progress: JobProgress) => void;
  /** The shortest time in milliseconds between two calls of `onProgress`. @default 100 */
  readonly progressInterval?: number;
}

/** Counts the jobs of one run, and reports the progress a few times a second. */
export class ProgressMeter {
  readonly #onProgress: (progress: JobProgress) => void;
  readonly #interval: number;
  readonly #total: number | undefined;
  readonly #onError: (error: unknown) => void;
  readonly #startedAt = performance.now();
  #toldAt = -Infinity;
  #timer: NodeJS.Timeout | undefined;
  #hasNews = false;
  #done = 0;
  #failed = 0;

  constructor(
    onProgress: (progress: JobProgress) => void,
    { progressInterval }: ProgressOptions,
    total: number | undefined,
    /** Called with an error that `onProgress` throws. */
    onError: (error: unknown) => void,
  ) {
    this.#onProgress = onProgress;
    this.#interval = progressInterval ?? DEFAULT_INTERVAL_MS;
    this.#total = total;
    this.#onError = onError;
  }

  count({ status, attempts }: JobOutcome<unknown, unknown>): void {
    if (status === 'fulfilled') {
      this.#done += 1;
    } else if (attempts > 0) {
      this.#failed += 1;
    } else {
      return;
    }
    this.#hasNews = true;
    const wait = this.#toldAt + this.#interval - performance.now();
    if (wait <= 0) {
      this.#tell();
      return;
    }
    this.#timer ??= setTimeout(() => this.#tell(), wait);
  }

  /** Reports the last progress, if it was not reported yet. */
  end(): void {
    if (this.#hasNews) {
      this.#tell();
    }
  }

  #tell(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#hasNews = false;
    this.#toldAt = performance.now();
    try {
      const returned: unknown = this.#onProgress(this.#look());
      if (types.isPromise(returned)) {
        returned.catch(this.#onError);
      }
    } catch (error) {
      this.#onError(error);
    }
  }

  #look(): JobProgress {
    const ended = this.#done + this.#failed;
    const elapsed = this.#toldAt - this.#startedAt;
    const rate = elapsed > 0 ? (ended * 1_000) / elapsed : 0;
    const progress = { done: this.#done, failed: this.#failed, rate };
    if (this.#total === undefined) {
      return progress;
    }
    const total = this.#total;
    return rate === 0 ? { ...progress, total } : { ...progress, total, timeLeft: ((total - ended) / rate) * 1_000 };
  }
}
