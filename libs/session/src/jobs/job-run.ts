import type { EntityManager } from '@mikro-orm/core';

import type { LiveScope } from '../session/scope.js';
import type { BeginOptions, SessionSource } from '../session/session-source.js';
import type { JobOptions, JobProgress } from './job-options.js';
import type { JobOutcome } from './job-outcome.js';
import type { JobContext, JobFunction } from './job-worker.js';

export interface JobRunOptions<Em extends EntityManager, Input, Result> extends Pick<
  JobOptions,
  'info' | 'onProgress'
> {
  readonly source: SessionSource<Em>;
  readonly inputs: Iterable<Input>;
  readonly work: JobFunction<Em, Input, Result>;
  readonly label: string;
  readonly transaction: BeginOptions | undefined;
  readonly signal: AbortSignal;
}

/** Runs one iterable of inputs through a fixed number of lanes, each of which takes the next input when it is free. */
export class JobRun<Em extends EntityManager, Input, Result> {
  readonly #options: JobRunOptions<Em, Input, Result>;
  readonly #iterator: Iterator<Input>;
  readonly #total: number | undefined;
  readonly #outcomes: JobOutcome<Input, Result>[] = [];
  readonly #startedIn: LiveScope | undefined;
  #started = 0;
  #done = 0;
  #failed = 0;
  #isStopped = false;

  constructor(options: JobRunOptions<Em, Input, Result>) {
    this.#options = options;
    this.#startedIn = options.source.currentScope;
    this.#iterator = options.inputs[Symbol.iterator]();
    this.#total = getSize(options.inputs);
  }

  async settle(lanes: number): Promise<JobOutcome<Input, Result>[]> {
    const ends = await Promise.allSettled(Array.from({ length: lanes }, () => this.#lane()));
    const broken = ends.find((end) => end.status === 'rejected');
    if (broken !== undefined) {
      throw broken.reason;
    }
    return this.#outcomes;
  }

  async #lane(): Promise<void> {
    try {
      for (let next = this.#next(); next !== undefined; next = this.#next()) {
        const outcome = await this.#runJob(next.index, next.input);
        this.#outcomes[next.index] = outcome;
        this.#report(outcome);
      }
    } catch (error) {
      // The inputs or the progress callback threw: the other lanes finish the job at hand and stop.
      this.#isStopped = true;
      throw error;
    }
  }

  #next(): { readonly index: number; readonly input: Input } | undefined {
    if (this.#isStopped) {
      return undefined;
    }
    const { done, value } = this.#iterator.next();
    if (done === true) {
      this.#isStopped = true;
      return undefined;
    }
    return { index: this.#started++, input: value };
  }

  async #runJob(index: number, input: Input): Promise<JobOutcome<Input, Result>> {
    const { source, work, label, transaction, signal, info } = this.#options;
    if (signal.aborted) {
      return { status: 'rejected', index, input, reason: signal.reason, attempts: 0 };
    }
    const job: JobContext = { index, attempt: 1, signal };
    try {
      const value = await source.run(
        { kind: 'job', label: `job ${index} of ${label}`, signal, info, startedIn: this.#startedIn },
        (session) => work(session, input, job),
        { transaction },
      );
      return { status: 'fulfilled', index, input, value, attempts: 1 };
    } catch (reason) {
      releaseFrames(reason);
      return { status: 'rejected', index, input, reason, attempts: 1 };
    }
  }

  #report(outcome: JobOutcome<Input, Result>): void {
    if (outcome.status === 'fulfilled') {
      this.#done += 1;
    } else if (outcome.attempts > 0) {
      this.#failed += 1;
    }
    const progress: JobProgress = { done: this.#done, failed: this.#failed };
    this.#options.onProgress?.(this.#total === undefined ? progress : { ...progress, total: this.#total });
  }
}

function getSize(inputs: unknown): number | undefined {
  if (Array.isArray(inputs)) {
    return inputs.length;
  }
  return inputs instanceof Set || inputs instanceof Map ? inputs.size : undefined;
}

/** Until its stack is read for the first time, an error keeps alive all that its frames refer to: the whole session. */
function releaseFrames(reason: unknown): void {
  if (reason instanceof Error) {
    void reason.stack;
  }
}
