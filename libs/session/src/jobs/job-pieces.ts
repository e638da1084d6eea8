import { CommitUnknownError } from '../session/session-error.js';
import type { Piece } from './input-source.js';
import type { AttemptEnd } from './job-attempts.js';
import type { JobEnding, JobOutcome } from './job-outcome.js';
import type { PieceRunner } from './piece-runner.js';
import type { Retry } from './retry.js';
import type { RunSignals } from './run-signals.js';

export interface JobPiecesOptions<Input, Result> {
  readonly runner: Pick<PieceRunner<Input, Result>, 'run'>;
  readonly retry: Retry;
  readonly signals: RunSignals;
  /** Told of every input once, in the order of the inputs within a piece. */
  readonly put: (outcome: JobOutcome<Input, Result>) => void;
}

/**
 * Runs pieces until what became of each of their inputs is known. One that fails is run again in parts, in the order of
 * its inputs, until the inputs that fail are alone: no other verdict on an input counts.
 */
export class JobPieces<Input, Result> {
  readonly #options: JobPiecesOptions<Input, Result>;

  constructor(options: JobPiecesOptions<Input, Result>) {
    this.#options = options;
  }

  async run(piece: Piece<Input>): Promise<void> {
    const { runner, retry, signals } = this.#options;
    if (signals.stopped !== undefined) {
      this.#reject(piece, { reason: signals.stopped.reason, ending: 'aborted' }, 0);
      return;
    }
    let number = 1;
    let end = await runner.run(piece, number);
    while (
      end.status === 'rejected' &&
      end.ending !== 'aborted' &&
      (await retry.again(end.reason, number, signals.told))
    ) {
      number += 1;
      end = await runner.run(piece, number);
    }
    const begun = end.status === 'rejected' && end.isUnbegun === true ? number - 1 : number;
    await this.#settle(piece, end, begun);
  }

  async #settle(piece: Piece<Input>, end: AttemptEnd<Result>, attempts: number): Promise<void> {
    if (end.status === 'fulfilled') {
      end.values.forEach((value, offset) => {
        const index = piece.index + offset;
        this.#options.put({ status: 'fulfilled', index, input: piece.inputs[offset] as Input, value, attempts });
      });
      return;
    }
    // Once more would be twice, where nobody knows whether the commit took place.
    if (piece.inputs.length === 1 || end.ending === 'aborted' || end.reason instanceof CommitUnknownError) {
      this.#reject(piece, end, attempts);
      return;
    }
    for (const part of split(piece, end.culprit)) {
      await this.run(part);
    }
  }

  #reject({ index, inputs }: Piece<Input>, end: { reason: unknown; ending: JobEnding }, attempts: number): void {
    const { reason, ending } = end;
    inputs.forEach((input, offset) => {
      this.#options.put({ status: 'rejected', index: index + offset, input, reason, ending, attempts });
    });
  }
}

/** Sets the input apart that is to blame, where it is known, and halves the piece otherwise. */
function split<Input>({ index, inputs }: Piece<Input>, culprit: number | undefined): Piece<Input>[] {
  const cuts = culprit === undefined ? [0, Math.ceil(inputs.length / 2)] : [0, culprit, culprit + 1];
  return cuts
    .map((from, nth) => ({ index: index + from, inputs: inputs.slice(from, cuts[nth + 1]) }))
    .filter((part) => part.inputs.length > 0);
}
