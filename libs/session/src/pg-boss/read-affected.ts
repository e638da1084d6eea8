import { assertSeam, type Seam } from '../session/assert-seam.js';

const ANSWERS: Seam = {
  seam: 'pg-boss/command-answers',
  of: 'pg-boss',
  loss: 'Whether a command had an effect on jobs cannot be known',
};

/**
 * Returns the number of jobs that a command of pg-boss changed. Its type does not declare that.
 *
 * @throws {SessionSetupError} when the answer of pg-boss does not contain it
 */
export function readAffected(answer: object): number {
  // Seam: pg-boss/command-answers
  assertSeam(answer, ['affected'], ANSWERS);
  return (answer as { readonly affected: number }).affected;
}

/**
 * Returns the ids of the jobs that a command of pg-boss changed.
 *
 * @throws {SessionSetupError} when the answer of pg-boss does not contain it
 */
export function readSettled(answer: object): readonly string[] {
  // Seam: pg-boss/command-answers
  assertSeam(answer, ['settled'], ANSWERS);
  return (answer as { readonly settled: readonly string[] }).settled;
}
