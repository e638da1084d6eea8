import { Inject } from '@nestjs/common';

import { getSessionToken } from './get-session-token.js';

/**
 * Injects the session of this request or job. Its type is the EntityManager of your driver, or
 * SessionEntityManager, which is the same where you have told SessionTypes of it.
 *
 * @param contextName the connection, when it is not the default one
 *
 * @example
 * constructor(@InjectSession() private readonly session: EntityManager) {}
 */
export function InjectSession(contextName?: string): ParameterDecorator & PropertyDecorator {
  return Inject(getSessionToken(contextName));
}
