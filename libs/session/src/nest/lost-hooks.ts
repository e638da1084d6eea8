import { Logger, type OnModuleInit, Scope } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';

import { checkSeam, type Seam } from '../session/assert-seam.js';
import { dependenciesOf, listProviders, type ProviderWrapper, reachableFrom } from './provider-wrapper.js';
import type { SessionConnections } from './session-connections.js';

const WRAPPERS: Seam = {
  seam: 'nestjs/instance-wrapper',
  of: '@nestjs/core',
  loss: 'Nobody warns of lifecycle hooks that NestJS does not call',
};

const HOOKS = [
  'onModuleInit',
  'onApplicationBootstrap',
  'onModuleDestroy',
  'beforeApplicationShutdown',
  'onApplicationShutdown',
] as const;

/**
 * Warns at start of lifecycle hooks that NestJS does not call, because an injected session made their class
 * request-scoped. Does not warn where the user has set that scope.
 */
export class LostHooks implements OnModuleInit {
  constructor(
    private readonly modules: ModulesContainer,
    private readonly connections: SessionConnections,
  ) {}

  onModuleInit(): void {
    if (this.connections.requestScoped.size === 0) {
      return;
    }
    const warned = new Set<unknown>();
    const wrappers = listProviders(this.modules);
    // Seam: nestjs/instance-wrapper
    const members = ['getCtorMetadata', 'getPropertiesMetadata', 'getEnhancersMetadata'];
    if (!checkSeam(wrappers[0], members, WRAPPERS)) {
      return;
    }
    for (const wrapper of wrappers) {
      if (!warned.has(wrapper.metatype)) {
        warned.add(wrapper.metatype);
        this.#warn(wrapper);
      }
    }
  }

  #warn(wrapper: ProviderWrapper): void {
    const hooks = findHooks(wrapper.metatype);
    if (hooks.length === 0) {
      return;
    }
    const reach = reachableFrom(wrapper);
    const isSession = ({ token }: ProviderWrapper): boolean => this.connections.requestScoped.has(token);
    if (!reach.some(isSession) || reach.some((other) => other.scope === Scope.REQUEST && !isSession(other))) {
      return;
    }
    const injected = dependenciesOf(wrapper).find((dependency) => reachableFrom(dependency).some(isSession));
    const cause =
      injected === undefined || isSession(injected) ? 'its @InjectSession()' : `"${injected.name}", which it injects,`;
    new Logger('Session').warn(
      `NestJS does not call ${hooks.map((hook) => `${hook}()`).join(', ')} of "${wrapper.name}": ${cause} makes it ` +
        'request-scoped. Move what the hook does to a class that injects no session, where SessionFactory.run() and ' +
        "@InSession() open one, or give SessionModule the option `injection: 'contextual'`.",
    );
  }
}

function findHooks(metatype: unknown): (typeof HOOKS)[number][] {
  const prototype = typeof metatype === 'function' ? (metatype.prototype as Record<string, unknown> | undefined) : {};
  return HOOKS.filter((hook) => typeof prototype?.[hook] === 'function');
}
