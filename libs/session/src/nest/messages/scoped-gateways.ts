import type { ModulesContainer } from '@nestjs/core';

import { SessionSetupError } from '../../session/session-error.js';
import { injectedIn } from '../injected-in.js';
import { listProviders, reachableFrom } from '../provider-wrapper.js';
import type { SessionConnections } from '../session-connections.js';

/**
 * Refuses gateways that inject a request-scoped session in NestJS 11. It has one instance of a gateway for all
 * messages. For a request-scoped gateway, it neither calls the constructor of that instance nor sets its properties.
 */
export class ScopedGateways {
  constructor(
    private readonly modules: ModulesContainer,
    private readonly connections: SessionConnections,
  ) {}

  /** @throws {SessionSetupError} for a gateway that NestJS has not filled */
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
