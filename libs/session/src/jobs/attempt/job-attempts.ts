import type { EntityManager } from '@mikro-orm/core';

import type { LiveScope } from '../../session/scope/live-scope.js';
import { readProperty } from '../../session/read-property.js';
import type { BeginOptions } from '../../session/transaction/begin-options.js';
import type { SessionSource } from '../../session/session-source.js';
import { listErrorParts } from './list-error-parts.js';
import type { Chunk } from '../run/input-source.js';
import { JobTimeoutError } from '../job-error.js';
import type { JobEnding } from '../job-outcome.js';
import type { JobContext } from '../job-worker.js';
import type { Attempt, ChunkWork } from '../run/chunk-work.js';
import type { RunningAttempt, RunSignals } from '../run/run-signals.js';
import { silence } from '../run/silence.js';

export interface JobAttemptsOptions<Em extends EntityManager, Input, Result> {
  readonly source: SessionSource<Em>;
  readonly startedIn: LiveScope | undefined;
  readonly work: ChunkWork<Em, Input, Result>;
  readonly label: string;
  /** Returns the label of the scope of a chunk. @default a label with the positions of its inputs */
  readonly nameScope?: (chunk: Chunk<Input>) => string;
  /** Adds to the JobContext of a job. */
  readonly describe?: (job: JobContext) => JobContext;
  /** Runs in the transaction of a chunk after its work and its flush, before the commit. */
  readonly beforeCommit?: (session: Em, chunk: Chunk<Input>, values: readonly Result[]) => Promise<void>;
  readonly info: Readonly<Record<string, unknown>> | undefined;
  /** Data for `info` of the scopes that is not sent along with jobs that these jobs send. */
  readonly origin?: Readonly<Record<string, unknown>>;
  readonly transaction: BeginOptions | undefined;
  readonly timeout: number | undefined;
  readonly signals: RunSignals;
  /**
   * Called with the time that an attempt gets, again for each input. Called with undefined when the attempt cannot be
   * cancelled any more.
   */
  readonly onAllowance?: (allowance: Allowance | undefined) => void;
}

/** The time that an attempt has from now on. */
export interface Allowance {
  readonly milliseconds: number;
  /** The input that the time is for. Undefined where it is for all inputs of the chunk. */
  readonly culprit: number | undefined;
}

export type AttemptEnd<Result> =
  | { readonly status: 'fulfilled'; readonly values: readonly Result[] }
  | {
      readonly status: 'rejected';
      readonly reason: unknown;
      readonly ending: JobEnding;
      /** The input that failed, where that is known. */
      readonly culprit: number | undefined;
      /** Set when the attempt was aborted before it began. */
      readonly isUnbegun?: true;
    };

interface OpenAttempt extends Attempt {
  /** Whether the work has been called. */
  hasBegun: boolean;
}

/** Runs attempts at jobs, each in a task, scope, session and transaction of its own. */
export class JobAttempts<Em extends EntityManager, Input, Result> {
  readonly #options: JobAttemptsOptions<Em, Input, Result>;

  constructor(options: JobAttemptsOptions<Em, Input, Result>) {
    this.#options = options;
  }

  /** Never throws. */
  async run(chunk: Chunk<Input>, number: number): Promise<AttemptEnd<Result>> {
    const { signals } = this.#options;
    const running = signals.enter();
    const attempt = this.#createAttempt(chunk, number, running);
    try {
      return { status: 'fulfilled', values: await this.#open(chunk, attempt, running) };
    } catch (reason) {
      releaseFrames(reason);
      // An attempt that could not begin fails the job of its first input.
      const culprit = attempt.hasBegun ? attempt.culprit : 0;
      const cancellation = running.limit?.cancellation;
      return cancellation === undefined
        ? { status: 'rejected', reason, ending: 'failed', culprit }
        : { status: 'rejected', reason, ending: cancellation.ending, culprit };
    } finally {
      signals.leave(running);
    }
  }

  #createAttempt({ index }: Chunk<Input>, number: number, { signals, limit }: RunningAttempt): OpenAttempt {
    const { timeout, label, describe, onAllowance } = this.#options;
    const allow = (inputs: number, culprit: number | undefined): void => {
      if (timeout !== undefined) {
        const name = `job ${index + (culprit ?? 0)} of ${label}`;
        limit?.allow(timeout * inputs, () => new JobTimeoutError(name, timeout));
        onAllowance?.({ milliseconds: timeout * inputs, culprit });
      }
    };
    return {
      contextOf(offset) {
        let signal: AbortSignal | undefined;
        const job: JobContext = {
          index: index + offset,
          attempt: number,
          get signal() {
            return (signal ??= signals.create());
          },
        };
        return describe === undefined ? job : describe(job);
      },
      hasBegun: false,
      culprit: undefined,
      begin(culprit) {
        this.culprit = culprit;
        allow(1, culprit);
      },
      beginAll(count) {
        this.culprit = undefined;
        allow(count, undefined);
      },
    };
  }

  /** Opens the scope of a chunk. Jobs open scopes only here. */
  async #open(
    chunk: Chunk<Input>,
    attempt: OpenAttempt,
    { signals, limit }: RunningAttempt,
  ): Promise<readonly Result[]> {
    const { source, startedIn, info, origin, transaction, beforeCommit, onAllowance } = this.#options;
    const scope = source.createScope({
      kind: 'job',
      label: this.#nameScope(chunk),
      signal: () => signals.create(),
      info,
      origin,
      startedIn,
    });
    if (limit === undefined && beforeCommit === undefined) {
      return source.runIn(scope, (session) => this.#work(session, chunk, attempt), { transaction });
    }
    limit?.attach(scope);
    attempt.beginAll(chunk.inputs.length);
    const flushed = async (session: Em): Promise<readonly Result[]> => {
      let values: readonly Result[];
      try {
        values = await this.#work(session, chunk, attempt);
        if (transaction !== undefined) {
          await session.flush();
        }
      } finally {
        limit?.finish();
      }
      // The time limit of a failed job goes on until its error has been read.
      onAllowance?.(undefined);
      await beforeCommit?.(session, chunk, values);
      return values;
    };
    const fork = limit && { signal: limit.statements, inflightQueryAbortStrategy: 'cancel query' as const };
    const running = source.runIn(scope, flushed, { transaction, fork });
    return limit === undefined ? running : limit.guard(running);
  }

  async #work(session: Em, chunk: Chunk<Input>, attempt: OpenAttempt): Promise<readonly Result[]> {
    attempt.hasBegun = true;
    try {
      return await this.#options.work(session, chunk, attempt);
    } catch (reason) {
      silence(reason);
      throw reason;
    }
  }

  #nameScope(chunk: Chunk<Input>): string {
    const { label, nameScope } = this.#options;
    if (nameScope !== undefined) {
      return nameScope(chunk);
    }
    const { index, inputs } = chunk;
    return inputs.length === 1
      ? `job ${index} of ${label}`
      : `jobs ${index} to ${index + inputs.length - 1} of ${label}`;
  }
}

/**
 * Reads the stack of an error once. Until then, the error keeps alive all objects of its stack frames, such as the
 * whole session.
 */
function releaseFrames(reason: unknown): void {
  listErrorParts(reason).forEach((part) => readProperty(part, 'stack'));
}
