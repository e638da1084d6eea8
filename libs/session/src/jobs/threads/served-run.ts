import type { EntityManager } from '@mikro-orm/core';
import type { ModuleRef } from '@nestjs/core';

import type { SessionSource } from '../../session/session-source.js';
import type { Chunk } from '../run/input-source.js';
import { type Allowance, JobAttempts } from '../attempt/job-attempts.js';
import { JobCloneError } from '../job-error.js';
import type { AnyWorker } from '../job-worker.js';
import type { ChunkWork } from '../run/chunk-work.js';
import { RunSignals } from '../run/run-signals.js';
import { toChunkWork } from '../attempt/to-chunk-work.js';
import { nameUncloneable } from './find-uncloneable.js';
import { packReason } from './packed-reason.js';
import type { PackedEnd } from './thread-answer.js';
import type { RunSetup } from './thread-request.js';

export interface ServedRunOptions {
  readonly setup: RunSetup;
  readonly worker: AnyWorker<EntityManager, unknown, unknown>;
  readonly source: SessionSource;
  readonly moduleRef: ModuleRef;
}

/** One run of jobs, inside a thread that takes part in it. */
export class ServedRun {
  readonly #options: ServedRunOptions;
  readonly #work: ChunkWork<EntityManager, unknown, unknown>;
  readonly #signal = new AbortController();
  readonly #shutdown = new AbortController();
  readonly #signals: RunSignals;
  readonly #following: Disposable;

  constructor(options: ServedRunOptions) {
    const { setup, worker, moduleRef } = options;
    const { whenAborted, timeout, hasSignal, chunkSize } = setup;
    this.#options = options;
    this.#work = this.#copyResults(toChunkWork(worker, moduleRef, chunkSize));
    this.#signals = new RunSignals({
      shutdown: this.#shutdown.signal,
      signal: hasSignal ? this.#signal.signal : undefined,
      whenAborted,
      timeout,
    });
    this.#following = this.#signals.follow();
  }

  /** Never throws. */
  async attempt(
    chunk: Chunk<unknown>,
    number: number,
    onAllowance: (allowance: Allowance | undefined) => void,
  ): Promise<PackedEnd> {
    const { setup, source } = this.#options;
    const { label, info, transaction, timeout } = setup;
    const attempts = new JobAttempts({
      source,
      startedIn: undefined,
      work: this.#work,
      label,
      info,
      transaction,
      timeout,
      signals: this.#signals,
      onAllowance,
    });
    const end = await attempts.run(chunk, number);
    return end.status === 'fulfilled' ? end : { ...end, reason: packReason(end.reason) };
  }

  abort(by: 'signal' | 'shutdown', reason: unknown): void {
    (by === 'signal' ? this.#signal : this.#shutdown).abort(reason);
  }

  close(): void {
    this.#following[Symbol.dispose]();
  }

  /**
   * Copies the results before the commit, so that a job whose result cannot be copied is rolled back like any other
   * failed job. Copies them after the flush, because the flush sets the keys of new entities.
   */
  #copyResults(work: ChunkWork<EntityManager, unknown, unknown>): ChunkWork<EntityManager, unknown, unknown> {
    const { label, transaction } = this.#options.setup;
    return async (session, chunk, attempt) => {
      const values = await work(session, chunk, attempt);
      if (values.every(isPrimitive)) {
        return values;
      }
      if (transaction !== undefined) {
        await session.flush();
      }
      return values.map((value, nth) => {
        try {
          return structuredClone(value);
        } catch {
          attempt.culprit = nth;
          throw new JobCloneError(
            `The result of job ${chunk.index + nth} of ${label}`,
            nameUncloneable(value, 'result'),
          );
        }
      });
    };
  }
}

function isPrimitive(value: unknown): boolean {
  return value === null || !['object', 'function', 'symbol'].includes(typeof value);
}
