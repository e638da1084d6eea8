import type { Chunk } from './input-source.js';
import type { AttemptEnd } from '../attempt/job-attempts.js';
import type { JobEnding, JobOutcome } from '../job-outcome.js';
import type { Retry } from '../attempt/retry.js';
import type { RunSignals } from './run-signals.js';
import { hasUnknownEnd } from '../attempt/has-unknown-end.js';

/** Runs the chunks of one run where they are to run: in this thread, or in others. */
export interface ChunkRunner<Input, Result> {
  /**
   * Gets ready, and gives the number of chunks to run at once.
   *
   * @param inputs how many there are, where that is known
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
  /** Told of every input once, in the order of the inputs within a chunk. */
  readonly put: (outcome: JobOutcome<Input, Result>) => void;
}

interface Verdict {
  readonly reason: unknown;
  readonly ending: JobEnding;
}

/** Some inputs of a chunk, by their places in it: copies of the inputs would grow with the square of the chunk. */
interface Part {
  readonly from: number;
  readonly to: number;
  /** How many attempts its inputs have been through as part of a larger one. */
  readonly attempts: number;
  /** Set where it is known already what becomes of it. */
  readonly verdict?: Verdict;
}

/**
 * Runs chunks until what became of each of their inputs is known. One that fails is run again in parts, in the order of
 * its inputs, until the inputs that fail are alone: no other verdict on an input counts.
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

  /** Runs a part, and returns what is left to be done for it. */
  async #runPart(chunk: Chunk<Input>, part: Part): Promise<readonly Part[]> {
    const { signals } = this.#options;
    if (part.verdict !== undefined) {
      this.#reject(chunk, part, part.verdict);
      return [];
    }
    if (signals.stopped !== undefined) {
      // Stopped by the error of another job, these end as if they had never begun, as they would have without chunks.
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
 * Sets the input apart that is to blame, where it is known. What is left of a part is halved, so that a chunk whose
 * inputs all fail is not run as a whole once for each of them.
 */
function split(part: Part, verdict: Verdict & { readonly culprit: number | undefined }): Part[] {
  const { from, to, attempts } = part;
  const isFinal = hasUnknownEnd(verdict.reason);
  if (verdict.culprit === undefined) {
    // What may have been committed is not done again.
    return isFinal ? [{ ...part, verdict }] : halve(part);
  }
  const culprit = from + verdict.culprit;
  const parts: Part[] = [
    { from, to: culprit, attempts },
    // The first one has been alone in its session.
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
