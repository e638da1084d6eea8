import { Inject } from '@nestjs/common';

import { getSessionToken } from './tokens.js';

/**
 * Injects the session of this request or job. Its type is the EntityManager of your driver.
 *
 * @param contextName the connection, when it is not the default one
 *
 * @example
 * constructor(@InjectSession() private readonly session: EntityManager) {}
 */
export function InjectSession(contextName?: string): ParameterDecorator & PropertyDecorator {
  return Inject(getSessionToken(contextName));
}
