import type { Chunk } from './input-source.js';
import type { AttemptEnd } from '../attempt/job-attempts.js';
import type { JobEnding, JobOutcome } from '../job-outcome.js';
import type { Retry } from '../attempt/retry.js';
import type { RunSignals } from './run-signals.js';
import { hasUnknownEnd } from '../attempt/has-unknown-end.js';

/** Runs the chunks of one run, in this thread or in others. */
export interface ChunkRunner<Input, Result> {
  /**
   * Gets ready, and returns the number of chunks to run at once.
   *
   * @param inputs the number of inputs, where it is known
   */
  open(inputs: number | undefined): Promise<number>;
  /** Makes one attempt. Never throws. */
  run(chunk: Chunk<Input>, number: number): Promise<AttemptEnd<Result>>;
  /** Called when no chunk runs any more. */
  close(): void;
}

export interface JobChunksOptions<Input, Result> {
  readonly runner: Pick<ChunkRunner<Input, Result>, 'run'>;
  readonly retry: Retry;
  readonly signals: RunSignals;
  /** Called once for every input, in the order of the inputs within a chunk. */
  readonly put: (outcome: JobOutcome<Input, Result>) => void;
}

interface Verdict {
  readonly reason: unknown;
  readonly ending: JobEnding;
}

/**
 * Some inputs of a chunk, given by their positions. Copies of the inputs would take memory that grows with the square
 * of the chunk.
 */
interface Part {
  readonly from: number;
  readonly to: number;
  /** The number of attempts that its inputs have had as part of a larger part. */
  readonly attempts: number;
  /** Set where its outcome is known already. */
  readonly verdict?: Verdict;
}

/**
 * Runs chunks until the outcome of each of their inputs is known. A chunk that fails is run again in parts, in the
 * order of its inputs, until each failing input is alone. Only an attempt with the input alone can reject it.
 *
 * Each attempt is one of JobAttempts, with a session of its own, and says which input failed (`culprit`). Retry decides
 * whether the same part is tried again, by isTransientError where the user does not say it.
 */
export class JobChunks<Input, Result> {
  readonly #options: JobChunksOptions<Input, Result>;

  constructor(options: JobChunksOptions<Input, Result>) {
    this.#options = options;
  }

  async run(chunk: Chunk<Input>): Promise<void> {
    const parts: Part[] = [{ from: 0, to: chunk.inputs.length, attempts: 0 }];
    for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
      parts.push(...(await this.#runPart(chunk, part)).toReversed());
    }
  }

  /** Runs a part, and returns the smaller parts that are left to run. */
  async #runPart(chunk: Chunk<Input>, part: Part): Promise<readonly Part[]> {
    const { signals } = this.#options;
    if (part.verdict !== undefined) {
      this.#reject(chunk, part, part.verdict);
      return [];
    }
    if (signals.stopped !== undefined) {
      // Stopped by the error of another job, these inputs count as never begun, as they would without chunks.
      const attempts = signals.abortSignal.aborted ? part.attempts : 0;
      this.#reject(chunk, { ...part, attempts }, { reason: signals.stopped.reason, ending: 'aborted' });
      return [];
    }
    const { end, attempts } = await this.#attempt(chunk, part);
    const tried = { ...part, attempts };
    if (end.status === 'fulfilled') {
      this.#fulfil(chunk, tried, end.values);
      return [];
    }
    if (part.to - part.from === 1 || end.ending === 'aborted') {
      this.#reject(chunk, tried, end);
      return [];
    }
    return split(tried, end);
  }

  async #attempt(
    chunk: Chunk<Input>,
    { from, to, attempts }: Part,
  ): Promise<{ readonly end: AttemptEnd<Result>; readonly attempts: number }> {
    const { runner, retry, signals } = this.#options;
    const inputs = to - from === chunk.inputs.length ? chunk.inputs : chunk.inputs.slice(from, to);
    for (let number = 1; ; number += 1) {
      let end = await runner.run({ index: chunk.index + from, inputs }, number);
      if (end.status === 'fulfilled') {
        return { end, attempts: number };
      }
      if (end.ending === 'aborted') {
        const begun = end.isUnbegun === true ? number - 1 : number;
        return { end, attempts: begun === 0 ? attempts : begun };
      }
      try {
        if (await retry.again(end.reason, number, signals.abortSignal)) {
          continue;
        }
      } catch (error) {
        end = { ...end, reason: error };
      }
      return { end, attempts: number };
    }
  }

  #fulfil(chunk: Chunk<Input>, { from, attempts }: Part, values: readonly Result[]): void {
    values.forEach((value, offset) => {
      const place = from + offset;
      const input = chunk.inputs[place] as Input;
      this.#options.put({ status: 'fulfilled', index: chunk.index + place, input, value, attempts });
    });
  }

  #reject(chunk: Chunk<Input>, { from, to, attempts }: Part, { reason, ending }: Verdict): void {
    for (let place = from; place < to; place += 1) {
      const input = chunk.inputs[place] as Input;
      this.#options.put({ status: 'rejected', index: chunk.index + place, input, reason, ending, attempts });
    }
  }
}

/**
 * Separates the input that failed, where it is known, and halves the rest. Without the halves, a chunk whose inputs all
 * fail would run as a whole once for each input.
 */
function split(part: Part, verdict: Verdict & { readonly culprit: number | undefined }): Part[] {
  const { from, to, attempts } = part;
  const isFinal = hasUnknownEnd(verdict.reason);
  if (verdict.culprit === undefined) {
    // A commit whose end is unknown is never repeated.
    return isFinal ? [{ ...part, verdict }] : halve(part);
  }
  const culprit = from + verdict.culprit;
  const parts: Part[] = [
    { from, to: culprit, attempts },
    // The first input was alone in its session when it failed.
    { from: culprit, to: culprit + 1, attempts, ...((isFinal || culprit === from) && { verdict }) },
    ...halve({ from: culprit + 1, to, attempts }),
  ];
  return parts.filter((one) => one.from < one.to);
}

function halve(part: Part): Part[] {
  const middle = part.from + Math.ceil((part.to - part.from) / 2);
  return [
    { ...part, to: middle },
    { ...part, from: middle },
  ];
}
