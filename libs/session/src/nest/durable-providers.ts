import type { OnApplicationBootstrap } from '@nestjs/common';
import { ContextIdFactory, type ModulesContainer } from '@nestjs/core';

import { SessionSetupError } from '../session/session-error.js';
import { injectedIn } from './injected-in.js';
import { listProviders, type ProviderWrapper, reachableFrom } from './provider-wrapper.js';
import type { SessionConnections } from './session-connections.js';

/**
 * Refuses durable providers that would keep the session of one request for all later requests. Without a strategy for
 * them, NestJS makes durable providers for each request, and nothing is wrong.
 */
export class DurableProviders implements OnApplicationBootstrap {
  constructor(
    private readonly modules: ModulesContainer,
    private readonly connections: SessionConnections,
  ) {}

  /** @throws {SessionSetupError} for the first such provider */
  onApplicationBootstrap(): void {
    if (this.connections.requestScoped.size === 0 || !hasStrategy()) {
      return;
    }
    const findInjected = injectedIn(this.modules);
    const wrapper = listProviders(this.modules).find(
      (each) => each.durable === true && this.#keepsSession(reachableFrom(each, findInjected)),
    );
    if (wrapper !== undefined) {
      throw new SessionSetupError(
        `"${wrapper.name}" is a durable provider, which NestJS makes once for many requests, and injects the session of ` +
          'one of them, itself or through another provider. Take the session from SessionContext.current or an injected ' +
          "EntityManager there, or give SessionModule the option `injection: 'contextual'`.",
      );
    }
  }

  #keepsSession(reach: readonly ProviderWrapper[]): boolean {
    return reach.some(({ token }) => this.connections.requestScoped.has(token));
  }
}

function hasStrategy(): boolean {
  // Seam: nestjs/context-id-strategy
  return (ContextIdFactory as unknown as { readonly strategy?: unknown }).strategy !== undefined;
}
