import type { ModulesContainer } from '@nestjs/core';

import { SessionSetupError } from '../../session/session-error.js';
import { injectedIn } from '../injected-in.js';
import { listProviders, reachableFrom } from '../provider-wrapper.js';
import type { SessionConnections } from '../session-connections.js';

/**
 * Refuses gateways that inject a request-scoped session, where NestJS has one instance of a gateway for all messages, as
 * 11 has: it does not call the constructor of such a gateway, and fills none of its properties.
 */
export class ScopedGateways {
  constructor(
    private readonly modules: ModulesContainer,
    private readonly connections: SessionConnections,
  ) {}

  /** @throws {SessionSetupError} */
  assertFilled(gateway: object): void {
    const wrapper = listProviders(this.modules).find(({ metatype }) => metatype === gateway.constructor);
    const { requestScoped } = this.connections;
    const reach = wrapper === undefined ? [] : reachableFrom(wrapper, injectedIn(this.modules));
    if (!reach.some(({ token }) => requestScoped.has(token))) {
      return;
    }
    throw new SessionSetupError(
      `Gateway "${wrapper?.name}" injects a session, itself or through another provider, which makes it request-scoped. ` +
        'NestJS 11 has one instance of a gateway for all messages, and fills nothing in one that is request-scoped. Give ' +
        "SessionModule the option `injection: 'contextual'`, take the session from SessionContext.current or an injected " +
        'EntityManager there, or use NestJS 12.',
    );
  }
}
