import type { Chunk } from '../run/input-source.js';
import type { AttemptEnd } from '../attempt/job-attempts.js';
import { JobCloneError, JobThreadError, JobTimeoutError } from '../job-error.js';
import { findUncloneable } from './find-uncloneable.js';
import type { JobThread } from './job-thread.js';
import { unpackReason } from './packed-reason.js';
import type { PackedEnd } from './thread-answer.js';
import type { RunSetup } from './thread-request.js';
import type { WatchedAttempt } from './thread-watch.js';

export interface RemoteAttemptOptions<Input> {
  readonly run: number;
  readonly thread: JobThread;
  readonly chunk: Chunk<Input>;
  readonly number: number;
  readonly setup: RunSetup;
}

/** One attempt at a chunk in another thread. */
export class RemoteAttempt<Input, Result> {
  readonly #options: RemoteAttemptOptions<Input>;
  readonly #watched: WatchedAttempt;

  constructor(options: RemoteAttemptOptions<Input>) {
    const { thread, chunk, setup } = options;
    this.#options = options;
    this.#watched = {
      id: thread.numberAttempt(),
      nameJob: (culprit = 0) => `job ${chunk.index + culprit} of ${setup.label}`,
      due: undefined,
      timer: undefined,
    };
  }

  /** Never throws. */
  async make(): Promise<AttemptEnd<Result>> {
    const { run, thread, chunk, number } = this.#options;
    const { id: attempt } = this.#watched;
    thread.watch.begin(this.#watched);
    try {
      return unpackEnd(await thread.call({ kind: 'attempt', run, attempt, number, ...chunk }));
    } catch (error) {
      return this.#findUncloneable() ?? (await this.#afterThread(error));
    } finally {
      thread.watch.end(this.#watched);
    }
  }

  /** Called when the thread was told to cancel the attempt: it should end soon. */
  cancel(): void {
    this.#options.thread.watch.cancel(this.#watched);
  }

  /** Returns the end of the attempt if an input could not be copied. */
  #findUncloneable(): AttemptEnd<Result> | undefined {
    const { inputs } = this.#options.chunk;
    for (const [culprit, input] of inputs.entries()) {
      const obstacle = findUncloneable(input, 'input');
      if (obstacle !== undefined) {
        const reason = new JobCloneError(`The input of ${this.#watched.nameJob(culprit)}`, obstacle);
        return { status: 'rejected', reason, ending: 'failed', culprit };
      }
    }
    return undefined;
  }

  /** Returns the end of an attempt whose thread gave no answer. */
  async #afterThread(error: unknown): Promise<AttemptEnd<Result>> {
    const { thread, setup } = this.#options;
    const { due, nameJob } = this.#watched;
    if (!thread.isOver) {
      // The request could not be sent, or the thread did not understand it.
      return { status: 'rejected', reason: error, ending: 'failed', culprit: undefined };
    }
    await thread.ended;
    if (due === undefined) {
      const reason = new JobThreadError(nameJob(undefined), thread.watch.blockedBy, error);
      return { status: 'rejected', reason, ending: 'failed', culprit: undefined };
    }
    const reason = due.ending === 'timeout' ? new JobTimeoutError(nameJob(due.culprit), setup.timeout ?? 0) : error;
    return { status: 'rejected', reason, ...due };
  }
}

function unpackEnd<Result>(end: PackedEnd | undefined): AttemptEnd<Result> {
  if (end === undefined) {
    throw new Error('it gave no answer');
  }
  return end.status === 'fulfilled'
    ? { status: 'fulfilled', values: end.values as readonly Result[] }
    : { ...end, reason: unpackReason(end.reason) };
}
