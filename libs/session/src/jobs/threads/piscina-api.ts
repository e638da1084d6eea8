import type { Piscina } from 'piscina';

import { SessionSetupError } from '../../session/session-error.js';

export type PiscinaClass = typeof Piscina;

/**
 * Returns the class that runs threads, from a package that only those need who use threads.
 *
 * @throws {SessionSetupError} where the application does not have it
 */
export async function loadPiscina(): Promise<PiscinaClass> {
  try {
    const { Piscina } = await import('piscina');
    return Piscina;
  } catch (cause) {
    throw new SessionSetupError(
      'The option `threads` of a job needs the package "piscina", which could not be loaded. Install it: npm install piscina',
      { cause },
    );
  }
}
