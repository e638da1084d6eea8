import type { Chunk } from './input-source.js';
import type { AttemptEnd } from '../attempt/job-attempts.js';

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
