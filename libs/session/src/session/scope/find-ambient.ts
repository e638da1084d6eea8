import { type EntityManager, TransactionContext } from '@mikro-orm/core';

import { STATE, type WithState } from '../known-session.js';
import { NoActiveSessionError } from '../session-error.js';

/**
 * Returns what MikroORM answers without sessions, but never the EntityManager of another application.
 *
 * @throws {NoActiveSessionError} where MikroORM would refuse to use its global EntityManager
 */
export function findAmbient(em: EntityManager, validate: boolean): EntityManager {
  // Seam: mikro-orm/contexts
  const found: (EntityManager & WithState) | undefined = [
    TransactionContext.getEntityManager(em.name),
    em.config.get('context')(em.name),
  ].find((candidate) => candidate?.config === em.config);
  if (found !== undefined) {
    return found[STATE] === undefined ? found : found.getContext(validate);
  }
  if (validate && em.global && !em.config.get('allowGlobalContext')) {
    throw new NoActiveSessionError(`The EntityManager of the connection "${em.name}"`);
  }
  return em;
}
