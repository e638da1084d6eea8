import { SessionError, SessionSetupError } from '../../session/session-error.js';
import { DEFAULT_CONCURRENCY } from '../run/get-concurrency.js';
import type { Chunk } from '../run/input-source.js';
import type { AttemptEnd } from '../attempt/job-attempts.js';
import { JobCloneError, JobThreadError } from '../job-error.js';
import type { ChunkRunner } from '../run/job-chunks.js';
import type { RunSignals } from '../run/run-signals.js';
import { findUncloneable } from './find-uncloneable.js';
import type { JobThread } from './job-thread.js';
import type { JobThreads, ThreadLease } from './job-threads.js';
import { packReason } from './packed-reason.js';
import { RemoteAttempt } from './remote-attempt.js';
import type { RunSetup, ThreadRequest } from './thread-request.js';

/** The number of threads that may end while an attempt waits to begin. Then the attempt fails. */
const MOST_TRIES = 3;

export interface ThreadRunnerOptions {
  readonly threads: JobThreads;
  /** The number of threads to use. */
  readonly wanted: number;
  readonly concurrency: number | undefined;
  readonly setup: RunSetup;
  readonly signals: RunSignals;
  readonly signal: AbortSignal | undefined;
  readonly shutdown: AbortSignal;
}

/** Runs the chunks of one run in worker threads. Each attempt takes one message to the thread and one back. */
export class ThreadRunner<Input, Result> implements ChunkRunner<Input, Result> {
  readonly #options: ThreadRunnerOptions;
  readonly #run: number;
  readonly #opened = new Map<JobThread, Promise<unknown>>();
  readonly #running = new Set<RemoteAttempt<Input, Result>>();
  #lease: ThreadLease | undefined;
  #count = 0;

  constructor(options: ThreadRunnerOptions) {
    this.#options = options;
    this.#run = options.threads.numberRun();
  }

  async open(inputs = Infinity): Promise<number> {
    const { threads, wanted, concurrency = Math.max(DEFAULT_CONCURRENCY, wanted), setup, signals } = this.#options;
    assertCloneable(setup);
    if (signals.stopped !== undefined) {
      return 1;
    }
    try {
      this.#lease = await threads.lease(Math.min(wanted, concurrency));
      const { pool, count, share } = this.#lease;
      const lanes = Math.min(concurrency, count * share);
      this.#count = Math.min(count, lanes, Math.ceil(inputs / setup.chunkSize));
      this.#follow();
      await Promise.all(pool.take(this.#count).map((thread) => this.#openIn(thread)));
      return lanes;
    } catch (error) {
      this.close();
      // If the signal aborts in the meantime, each job is rejected as aborted.
      if (signals.abortSignal.aborted) {
        return 1;
      }
      throw error;
    }
  }

  async run(chunk: Chunk<Input>, number: number): Promise<AttemptEnd<Result>> {
    const { signals, signal, setup } = this.#options;
    let thread: JobThread;
    try {
      thread = await this.#enter();
    } catch (error) {
      const reason =
        error instanceof SessionError
          ? error
          : new JobThreadError(`job ${chunk.index} of ${setup.label}`, undefined, error);
      return { status: 'rejected', reason, ending: 'failed', culprit: undefined };
    }
    const attempt = new RemoteAttempt<Input, Result>({ run: this.#run, thread, chunk, number, setup });
    this.#running.add(attempt);
    try {
      const { abortSignal } = signals;
      const end: AttemptEnd<Result> = abortSignal.aborted
        ? { status: 'rejected', reason: abortSignal.reason, ending: 'aborted', culprit: undefined, isUnbegun: true }
        : await attempt.make();
      // The reason is the original object, as without threads, and not a copy.
      return end.status === 'rejected' && end.ending === 'aborted'
        ? { ...end, reason: (signal ?? abortSignal).reason }
        : end;
    } finally {
      this.#running.delete(attempt);
      thread.load -= 1;
    }
  }

  close(): void {
    const { threads, signal, shutdown } = this.#options;
    signal?.removeEventListener('abort', this.#onAbort);
    shutdown.removeEventListener('abort', this.#onShutdown);
    this.#tellAll({ kind: 'close', run: this.#run });
    this.#opened.clear();
    if (this.#lease !== undefined) {
      threads.giveBack(this.#lease);
      this.#lease = undefined;
    }
  }

  /** Returns the thread with the fewest attempts, and counts one attempt more for it. */
  async #enter(): Promise<JobThread> {
    for (let tries = 1; ; tries += 1) {
      const thread = this.#pick();
      thread.load += 1;
      try {
        await this.#openIn(thread);
        return thread;
      } catch (error) {
        thread.load -= 1;
        if (!thread.isOver || error instanceof SessionSetupError || tries === MOST_TRIES) {
          throw error;
        }
      }
    }
  }

  #pick(): JobThread {
    const threads = this.#lease?.pool.take(this.#count) ?? [];
    return threads.reduce((least, thread) => (thread.load < least.load ? thread : least));
  }

  /** Opens the run in a thread. */
  async #openIn(thread: JobThread): Promise<void> {
    const opening = this.#opened.get(thread) ?? this.#sendSetup(thread);
    this.#opened.set(thread, opening);
    await opening;
    thread.assertAlive();
  }

  async #sendSetup(thread: JobThread): Promise<void> {
    await thread.started;
    await thread.call({ kind: 'open', run: this.#run, setup: this.#options.setup });
  }

  #follow(): void {
    this.#options.signal?.addEventListener('abort', this.#onAbort);
    this.#options.shutdown.addEventListener('abort', this.#onShutdown);
  }

  readonly #onAbort = (): void => {
    const { signal, setup } = this.#options;
    this.#tellAll({ kind: 'abort', run: this.#run, by: 'signal', reason: packReason(signal?.reason) });
    if (setup.whenAborted === 'cancel') {
      this.#running.forEach((attempt) => attempt.cancel());
    }
  };

  readonly #onShutdown = (): void => {
    const { shutdown } = this.#options;
    this.#tellAll({ kind: 'abort', run: this.#run, by: 'shutdown', reason: packReason(shutdown.reason) });
  };

  #tellAll(request: ThreadRequest): void {
    for (const thread of this.#opened.keys()) {
      thread.tell(request);
    }
  }
}

/** @throws {JobCloneError} for options that cannot be copied */
function assertCloneable(setup: RunSetup): void {
  for (const name of ['info', 'transaction'] as const) {
    const obstacle = findUncloneable(setup[name], name);
    if (obstacle !== undefined) {
      throw new JobCloneError(`The option \`${name}\` of ${setup.label}`, obstacle);
    }
  }
}
