import type { EntityManager } from '@mikro-orm/core';

import type { LiveScope } from '../session/live-scope.js';
import type { BeginOptions, SessionSource } from '../session/session-source.js';
import type { AttemptLimit } from './attempt-limit.js';
import type { Piece } from './input-source.js';
import { JobTimeoutError } from './job-error.js';
import type { JobEnding } from './job-outcome.js';
import type { JobContext } from './job-worker.js';
import type { Attempt, PieceWork } from './piece-work.js';
import type { RunSignals } from './run-signals.js';

export interface JobAttemptsOptions<Em extends EntityManager, Input, Result> {
  readonly source: SessionSource<Em>;
  readonly startedIn: LiveScope | undefined;
  readonly work: PieceWork<Em, Input, Result>;
  readonly label: string;
  /** Names the scope of a piece. Left out, it is named by the label and the places of its inputs. */
  readonly nameScope?: (piece: Piece<Input>) => string;
  /** Tells a worker more of its job than where its input stands. */
  readonly describe?: (job: JobContext) => JobContext;
  /** Adds to the transaction of a piece whose work is done and flushed. */
  readonly beforeCommit?: (session: Em, piece: Piece<Input>, values: readonly Result[]) => Promise<void>;
  readonly info: Readonly<Record<string, unknown>> | undefined;
  readonly transaction: BeginOptions | undefined;
  readonly timeout: number | undefined;
  readonly signals: RunSignals;
  /** Told of the time that an attempt gets, anew for each input, and of nothing when it cannot be cut any more. */
  readonly onAllowance?: (allowance: Allowance | undefined) => void;
}

/** The time that an attempt has from now on. */
export interface Allowance {
  readonly milliseconds: number;
  /** Which of the inputs it is for, where it is for one. */
  readonly culprit: number | undefined;
}

export type AttemptEnd<Result> =
  | { readonly status: 'fulfilled'; readonly values: readonly Result[] }
  | {
      readonly status: 'rejected';
      readonly reason: unknown;
      readonly ending: JobEnding;
      /** Which of the inputs it was, where that is known. */
      readonly culprit: number | undefined;
      /** Set where it was aborted before it began. */
      readonly isUnbegun?: true;
    };

/** Runs attempts at jobs, each in a task, scope, session and transaction of its own. */
export class JobAttempts<Em extends EntityManager, Input, Result> {
  readonly #options: JobAttemptsOptions<Em, Input, Result>;

  constructor(options: JobAttemptsOptions<Em, Input, Result>) {
    this.#options = options;
  }

  /** Never throws. */
  async run(piece: Piece<Input>, number: number): Promise<AttemptEnd<Result>> {
    const { signals } = this.#options;
    const limit = signals.createLimit();
    const attempt = this.#createAttempt(piece, number, limit);
    try {
      return { status: 'fulfilled', values: await this.#open(piece, attempt, limit) };
    } catch (reason) {
      releaseFrames(reason);
      const { culprit } = attempt;
      return limit?.cut === undefined
        ? { status: 'rejected', reason, ending: 'failed', culprit }
        : { status: 'rejected', reason, ending: limit.cut.ending === 'aborted' ? 'aborted' : 'timeout', culprit };
    } finally {
      if (limit !== undefined) {
        limit.pass();
        signals.forget(limit);
      }
    }
  }

  #createAttempt({ index }: Piece<Input>, number: number, limit: AttemptLimit | undefined): Attempt {
    const { signals, timeout, label, describe, onAllowance } = this.#options;
    const signal = limit?.signal ?? signals.told;
    const allow = (inputs: number, culprit: number | undefined): void => {
      if (timeout !== undefined) {
        const name = `job ${index + (culprit ?? 0)} of ${label}`;
        limit?.allow(timeout * inputs, () => new JobTimeoutError(name, timeout));
        onAllowance?.({ milliseconds: timeout * inputs, culprit });
      }
    };
    return {
      contextOf(offset) {
        const job = { index: index + offset, attempt: number, signal };
        return describe === undefined ? job : describe(job);
      },
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

  /** The one place where jobs open scopes. */
  async #open(piece: Piece<Input>, attempt: Attempt, limit: AttemptLimit | undefined): Promise<readonly Result[]> {
    const { source, startedIn, work, info, transaction, signals, beforeCommit, onAllowance } = this.#options;
    const scope = source.createScope({
      kind: 'job',
      label: this.#nameScope(piece),
      signal: limit?.signal ?? signals.told,
      info,
      startedIn,
    });
    if (limit === undefined && beforeCommit === undefined) {
      return source.runIn(scope, (session) => work(session, piece, attempt), { transaction });
    }
    limit?.attach(scope);
    attempt.beginAll(piece.inputs.length);
    const flushed = async (session: Em): Promise<readonly Result[]> => {
      let values: readonly Result[];
      try {
        values = await work(session, piece, attempt);
        if (transaction !== undefined) {
          await session.flush();
        }
      } finally {
        limit?.pass();
        onAllowance?.(undefined);
      }
      await beforeCommit?.(session, piece, values);
      return values;
    };
    const fork = limit && { signal: limit.statements, inflightQueryAbortStrategy: 'cancel query' as const };
    const running = source.runIn(scope, flushed, { transaction, fork });
    return limit === undefined ? running : limit.guard(running);
  }

  #nameScope(piece: Piece<Input>): string {
    const { label, nameScope } = this.#options;
    if (nameScope !== undefined) {
      return nameScope(piece);
    }
    const { index, inputs } = piece;
    return inputs.length === 1
      ? `job ${index} of ${label}`
      : `jobs ${index} to ${index + inputs.length - 1} of ${label}`;
  }
}

/** Until its stack is read for the first time, an error keeps alive all that its frames refer to: the whole session. */
function releaseFrames(reason: unknown): void {
  if (reason instanceof Error) {
    void reason.stack;
  }
}
