import type { EntityManager } from '@mikro-orm/core';

import { CONTEXTUAL, type Contextual, createSessionClass, type SessionLookup } from './create-session-class.js';
import type { EntityManagerClass } from './entity-manager-class.js';
import { SessionSetupError } from './session-error.js';

/** @throws {SessionSetupError} when the connection has sessions already */
export function assertNotAdopted(em: EntityManager): void {
  if (CONTEXTUAL in em) {
    throw new SessionSetupError(
      `SessionModule was imported twice for the connection "${em.name}". Call forRoot() or forRootAsync() once per ` +
        'connection: what it provides is global.',
    );
  }
}

/**
 * Lets forks allow the global context without a change of anything else. MikroORM does so twice for each fork, with
 * `config.set()`, which also writes to the environment of the process: nearly half of the time of a fork.
 */
function allowGlobalContextAlone({ config }: EntityManager): void {
  // Seam: mikro-orm/global-context
  const set = config.set.bind(config);
  config.set = (key, value) => {
    if (key === 'allowGlobalContext') {
      Object.assign(config.getAll(), { [key]: value });
    } else {
      set(key, value);
    }
  };
}

/** Makes the application's EntityManager answer with the session of the current scope. */
export function adoptEntityManager(em: EntityManager, lookup: SessionLookup): void {
  const sessions = createSessionClass(em.constructor as EntityManagerClass, lookup);
  // Seam: mikro-orm/entity-manager
  // The prototype is changed once per application, so that the user needs no option in MikroORM.init().
  Object.setPrototypeOf(em, sessions.prototype as object);
  Object.assign(em, { [CONTEXTUAL]: 'application' satisfies Contextual });
  allowGlobalContextAlone(em);
  // Seam: mikro-orm/context-option
  const { config } = em;
  const outside = config.get('context');
  config.set('context', (name) => lookup.tryCurrent() ?? outside(name));
}
