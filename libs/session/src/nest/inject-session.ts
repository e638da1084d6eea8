import { Inject } from '@nestjs/common';

import { getSessionToken } from './get-session-token.js';

/**
 * Injects the session of this request or job. Its type is the EntityManager of your driver, or SessionEntityManager
 * where you have declared SessionTypes.
 *
 * @param contextName the name of the connection. Leave it out for the default one
 *
 * @example
 * constructor(@InjectSession() private readonly session: EntityManager) {}
 */
export function InjectSession(contextName?: string): ParameterDecorator & PropertyDecorator {
  return Inject(getSessionToken(contextName));
}
