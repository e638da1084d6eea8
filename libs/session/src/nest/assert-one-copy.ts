import { EntityManager, MikroORM } from '@mikro-orm/core';
import type { ModulesContainer } from '@nestjs/core';

import { SessionSetupError } from '../session/session-error.js';

/**
 * Checks that the application uses the copy of MikroORM that this library imports. Two copies have two contexts, and
 * neither sees the sessions of the other.
 *
 * @throws {SessionSetupError} where the application uses another copy
 */
export function assertOneCopy(orm: MikroORM | undefined, modules: ModulesContainer): void {
  const isOther =
    orm === undefined ? hasNamesake(MikroORM, modules) : !(orm instanceof MikroORM && orm.em instanceof EntityManager);
  if (isOther) {
    throw new SessionSetupError(
      'There are two copies of @mikro-orm/core: nestjs-mikro-session imports one, and MikroOrmModule or the driver another. ' +
        'Give all packages of MikroORM the same version, and install them once: "npm ls @mikro-orm/core" shows the copies.',
    );
  }
}

function hasNamesake(own: { readonly name: string }, modules: ModulesContainer): boolean {
  return [...modules.values()].some(({ providers }) =>
    [...providers.keys()].some((token) => typeof token === 'function' && token.name === own.name && token !== own),
  );
}
