import { type InjectionToken, Scope } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';

import { injectedBy, listProviders, type ProviderWrapper } from './provider-wrapper.js';

interface Reference {
  readonly forwardRef?: () => InjectionToken;
  readonly token?: InjectionToken;
}

type Injected = InjectionToken | Reference;

/**
 * Returns a function that finds the dependencies of a provider. NestJS 11 does not know the dependencies of a
 * request-scoped provider before it creates one. So they are read from its class or its factory.
 */
export function injectedIn(modules: ModulesContainer): (wrapper: ProviderWrapper) => ProviderWrapper[] {
  const providers = Map.groupBy(listProviders(modules), ({ token }) => token);
  return (wrapper) => {
    const known = injectedBy(wrapper);
    return known.length > 0 || wrapper.scope !== Scope.REQUEST
      ? known
      : tokensOf(wrapper).flatMap((token) => providers.get(token) ?? []);
  };
}

function tokensOf({ inject, metatype }: ProviderWrapper): InjectionToken[] {
  const injected = inject ?? (typeof metatype === 'function' ? injectedByClass(metatype) : []);
  return injected.map((each) => tokenOf(each as Injected)).filter((token) => token !== undefined);
}

function injectedByClass(metatype: object): Injected[] {
  // Seam: nestjs/injection-metadata
  const types = (Reflect.getMetadata('design:paramtypes', metatype) ?? []) as Injected[];
  const named = (Reflect.getMetadata('self:paramtypes', metatype) ?? []) as { index: number; param: Injected }[];
  const properties = (Reflect.getMetadata('self:properties_metadata', metatype) ?? []) as { type: Injected }[];
  const unnamed = types.filter((_, at) => named.every(({ index }) => index !== at));
  return [...unnamed, ...named.map(({ param }) => param), ...properties.map(({ type }) => type)];
}

function tokenOf(injected: Injected): InjectionToken | undefined {
  if (typeof injected !== 'object') {
    return injected;
  }
  const { forwardRef, token } = injected;
  return forwardRef?.() ?? token;
}
