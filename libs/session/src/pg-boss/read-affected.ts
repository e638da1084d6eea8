import { assertSeam, type Seam } from '../session/assert-seam.js';

const ANSWERS: Seam = {
  seam: 'pg-boss/command-answers',
  of: 'pg-boss',
  loss: 'Whether a command had an effect on jobs cannot be known',
};

/**
 * Reads how many jobs a command of pg-boss had an effect on, which its declaration does not tell.
 *
 * @throws {SessionSetupError} when pg-boss does not say so any more
 */
export function readAffected(answer: object): number {
  // Seam: pg-boss/command-answers
  assertSeam(answer, ['affected'], ANSWERS);
  return (answer as { readonly affected: number }).affected;
}

/**
 * Reads which jobs a command of pg-boss had an effect on.
 *
 * @throws {SessionSetupError} when pg-boss does not say so any more
 */
export function readSettled(answer: object): readonly string[] {
  // Seam: pg-boss/command-answers
  assertSeam(answer, ['settled'], ANSWERS);
  return (answer as { readonly settled: readonly string[] }).settled;
}
