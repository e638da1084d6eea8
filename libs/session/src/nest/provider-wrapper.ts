import type { InjectionToken, Scope } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';

/** The little that is needed of what NestJS knows of a provider or a controller. */
export interface ProviderWrapper {
  readonly token: InjectionToken;
  readonly name: string;
  readonly scope?: Scope | undefined;
  readonly durable?: boolean | undefined;
  readonly metatype: unknown;
  getCtorMetadata(): readonly (ProviderWrapper | undefined)[] | undefined;
  getPropertiesMetadata(): readonly { readonly wrapper: ProviderWrapper }[] | undefined;
  getEnhancersMetadata(): readonly ProviderWrapper[] | undefined;
}

/** Lists all that NestJS makes. */
export function listProviders(modules: ModulesContainer): ProviderWrapper[] {
  return [...modules.values()].flatMap(({ controllers, providers, injectables, middlewares }) =>
    [controllers, providers, injectables, middlewares].flatMap((all) => [...all.values()]),
  );
}

/** Returns a provider and all that it depends on, however far. */
export function reachableFrom(wrapper: ProviderWrapper, findDependencies = dependenciesOf): ProviderWrapper[] {
  const reached = new Set([wrapper]);
  for (const each of reached) {
    findDependencies(each).forEach((dependency) => reached.add(dependency));
  }
  return [...reached];
}

/** Returns what a provider injects, and the guards, pipes, interceptors and filters of a controller. */
export function dependenciesOf(wrapper: ProviderWrapper): ProviderWrapper[] {
  return [...injectedBy(wrapper), ...(wrapper.getEnhancersMetadata() ?? [])];
}

/** Returns what a provider injects. */
export function injectedBy(wrapper: ProviderWrapper): ProviderWrapper[] {
  return [
    ...(wrapper.getCtorMetadata() ?? []),
    ...(wrapper.getPropertiesMetadata() ?? []).map((property) => property.wrapper),
  ].filter((dependency) => dependency !== undefined);
}
