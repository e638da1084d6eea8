import type { Piece } from './input-source.js';
import type { AttemptEnd } from '../attempt/job-attempts.js';

/** Runs the pieces of one run where they are to run: in this thread, or in others. */
export interface PieceRunner<Input, Result> {
  /**
   * Gets ready, and gives the number of pieces to run at once.
   *
   * @param inputs how many there are, where that is known
   */
  open(inputs: number | undefined): Promise<number>;
  /** Makes one attempt. Never throws. */
  run(piece: Piece<Input>, number: number): Promise<AttemptEnd<Result>>;
  /** Called when no piece runs any more. */
  close(): void;
}
